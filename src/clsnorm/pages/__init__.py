"""What all pages share: one base template, one style sheet, one number format, one style of figures. No torch."""

"""What reviewers ask for besides the mean difference. Descriptive: outside the family, without verdicts."""

"""The runs of a report: read from their folders, named as arms, checked before anything is pooled."""

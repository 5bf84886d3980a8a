"""Records from elsewhere: checked as data, run again on request, marked."""

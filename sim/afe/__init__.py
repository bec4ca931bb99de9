"""What stands between the line and the samples."""

"""What stands in for the world and for the gates."""

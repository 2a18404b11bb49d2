"""What every team stands on."""

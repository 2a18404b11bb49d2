"""Where people meet the company."""

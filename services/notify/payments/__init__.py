"""What was paid to households (拨付), told to the leaders in the next Monday's prompt."""

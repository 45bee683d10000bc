"""The outside: many islands, many runs. Starts island processes, watches their files, and reads what they leave."""

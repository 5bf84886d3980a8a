"""Pictures of the leaderboard: one subject a file; files.py alone imports the renderer."""

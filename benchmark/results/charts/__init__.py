"""Pictures of the leaderboard: one subject a file; altair takes seconds to import, and only these files do."""

"""The leaderboard as static pages: no server, no network, and whatever records say is shown as text."""

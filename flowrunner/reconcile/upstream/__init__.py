"""A repository that the daemon pulls by itself: fetched, verified, checked out, put in place."""

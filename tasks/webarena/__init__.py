"""WebArena: tasks on a shop, its back office, a forum, GitLab, a wiki and a map, played in a real browser."""

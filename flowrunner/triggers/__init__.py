"""When to start: schedules, webhooks, starts by hand, and the dispatcher they share."""

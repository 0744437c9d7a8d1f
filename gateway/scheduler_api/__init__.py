"""Amazon EventBridge Scheduler's API: schedules and their groups, one file a resource."""

"""Schedules: when functions run by the clock, and the beat that has them run. No tick is lost, and none runs twice."""

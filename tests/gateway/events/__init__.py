"""Tests of asynchronous events."""

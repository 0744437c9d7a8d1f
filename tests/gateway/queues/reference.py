"""A queue as its users may think of it: a list of messages. It says what a real one may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

VISIBILITY_S = 30
RETENTION_S = 60


@dataclass
class Message:
    """One message, until it is deleted."""

    body: str
    group: str | None
    sent: float
    hidden_until: float
    in_flight: bool = False
    receives: int = 0
    handle: str = ""


@dataclass
class Reference:
    """A queue of messages in the order in which they were sent."""

    fifo: bool
    now: float = 0.0
    messages: list[Message] = field(default_factory=list)

    def advance(self, seconds: float) -> None:
        """Time passes: what is due becomes visible, what is too old is gone."""
        self.now += seconds
        self.messages = [message for message in self.messages if message.sent > self.now - RETENTION_S]
        for message in self.messages:
            message.in_flight = message.in_flight and message.hidden_until > self.now

    def send(self, body: str, group: str | None, delay: float) -> None:
        """A message more."""
        self.messages.append(Message(body, group, self.now, self.now + delay))

    def is_visible(self, message: Message) -> bool:
        """Whether a message is neither in flight nor delayed."""
        return message.hidden_until <= self.now

    def receivable(self) -> list[Message]:
        """What may be received now: in FIFO queues, of each group what is in front of the first hidden message."""
        if not self.fifo:
            return [message for message in self.messages if self.is_visible(message)]
        blocked: set[str | None] = set()
        found = []
        for message in self.messages:
            if not self.is_visible(message):
                blocked.add(message.group)
            if message.group not in blocked:
                found.append(message)
        return found

    def receive(self, received: list[tuple[str, str, int]], most: int, visibility: float) -> None:
        """Somebody received these (body, handle, receives). Raises `AssertionError` if that cannot be."""
        allowed = self.receivable()
        assert len(received) == min(most, len(allowed))
        by_body = {message.body: message for message in allowed}
        assert {body for body, _, _ in received} <= by_body.keys()
        if self.fifo:
            for group in {message.group for message in allowed}:
                expected = [message.body for message in allowed if message.group == group]
                got = [body for body, _, _ in received if by_body[body].group == group]
                assert got == expected[: len(got)], "in the order in which they were sent"
        for body, handle, receives in received:
            message = by_body[body]
            message.receives += 1
            assert message.receives == receives
            message.handle = handle
            message.hidden_until = self.now + visibility
            message.in_flight = visibility > 0

    def delete(self, handle: str) -> bool:
        """Whether the handle is taken; what it belongs to is gone then, if it was the last one."""
        for message in self.messages:
            if message.handle == handle:
                if self.fifo and not message.in_flight:
                    return False
                self.messages.remove(message)
                return True
        return True

    def knows_older(self, handle: str, body: str) -> bool:
        """Whether a message is there that had the handle once, and has another one now."""
        return any(message.body == body and message.handle != handle for message in self.messages)

    def change(self, handle: str, body: str, visibility: float) -> bool:
        """Whether the handle is taken; its message comes back after so many seconds then. Standard queues take any
        handle the message ever had."""
        for message in self.messages:
            if message.handle == handle or (not self.fifo and message.body == body):
                if self.fifo and not message.in_flight:
                    return False
                message.hidden_until = self.now + visibility
                message.in_flight = visibility > 0
                return True
        return False

    def counts(self) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        flight = sum(message.in_flight for message in self.messages)
        delayed = sum(not message.in_flight and message.hidden_until > self.now for message in self.messages)
        return len(self.messages) - flight - delayed, flight, delayed

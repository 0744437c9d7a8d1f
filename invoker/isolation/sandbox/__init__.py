"""Boxes made of kernel namespaces by bubblewrap: no engine, no image, a start in milliseconds."""

from invoker.isolation.sandbox.isolation import SandboxIsolation

__all__ = ["SandboxIsolation"]

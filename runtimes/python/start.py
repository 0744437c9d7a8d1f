"""What an interpreter is told to run: `bootstrap.py`, in the form in which it has been compiled before.

Of a file it is told to run, an interpreter looks for no compiled form. Compiling it at every start takes as long as
starting the interpreter, and leaves a megabyte in each environment that only the compiler needed.
"""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])  # which the interpreter may have been told to leave out
TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtimes.python import bootstrap
else:
    import bootstrap

del sys.path[0]
# As if it had been told to run that file: whoever looks at `__main__` finds it, multiprocessing in a function, too, and
# a function's own module of the name `bootstrap` is not taken for it.
bootstrap.__name__ = "__main__"
bootstrap.__spec__ = None  # type: ignore[assignment]  # a file that an interpreter is told to run has none
sys.modules["__main__"] = sys.modules.pop("bootstrap")
bootstrap.main()

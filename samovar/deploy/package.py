"""From a folder to a deployment package: which files, in what order, with what modes.

The same files always make the same bytes, so an unchanged function is recognised by its hash.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from samovar.answers import PackageLimits
from samovar.deploy.manifest import FILE_NAME
from samovar.errors import CallerError, CodeStorageExceeded

IGNORE_FILES = (".gitignore", ".samovarignore")
"""Read in every folder, in this order: the later one has the last word."""
_NEVER_FOLDERS = frozenset({".git", ".venv", ".samovar", "__pycache__"})
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The oldest a zip file can say; the same in every package."""
_TRAILING_SPACES = re.compile(r"(?<!\\) +$")
"""git drops them unless a backslash stands before."""
_BIGGEST_SHOWN = 5
_CHUNK = 1024 * 1024


class PackageError(CallerError):
    """A folder holds something that cannot go into a package; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of an ignore file."""

    base: PurePosixPath
    """The folder the file stands in."""
    pattern: GitIgnoreSpecPattern
    only_folders: bool

    def names(self, path: PurePosixPath, is_folder: bool) -> bool:
        """Whether the line means this very path, and not merely a folder above it."""
        if self.only_folders and not is_folder:
            return False
        found = self.pattern.match_file(str(path.relative_to(self.base)))
        # The library's patterns match what is below a folder, too, and mark where the folder's name ended.
        return found is not None and not found.match.groupdict().get("ps_d")


Rules = tuple[Rule, ...]
"""The lines of the ignore files that count for a folder; the last one that names a path decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of a package."""

    path: Path
    size: int
    executable: bool


def collect(folder: Path, *, ignoring: bool = True) -> dict[str, Source]:
    """The files of a folder by their name in the package.

    With `ignoring`, leaves out what `.gitignore` and `.samovarignore` name (as git reads them, in every
    folder, never above this one) and what no function needs: `.git`, `.venv`, `.samovar`, `__pycache__`,
    the ignore files themselves and `function.toml`. Links are followed as long as they stay inside the folder.
    Raises `PackageError` for one that does not, and for anything that is neither file nor folder.
    """
    root = folder.resolve()
    return dict(sorted(_Walk(root, ignoring).files(root, PurePosixPath(), (), frozenset({root}))))


def pack(
    sources: dict[str, Source],
    limits: PackageLimits,
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    """The zip file. Raises `CodeStorageExceeded`, naming the biggest files, when it would be refused."""
    total = sum(source.size for source in sources.values())
    if total > limits.unpacked:
        raise _too_large("unpacked", total, limits.unpacked, sources)
    buffer, done = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(sources):
            source = sources[name]
            with archive.open(_entry(name, source), "w") as target:
                for chunk in _read(source.path):
                    target.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, total)
    if buffer.tell() > limits.packed:
        raise _too_large("packed", buffer.tell(), limits.packed, sources)
    return buffer.getvalue()


class _Walk:
    """One walk through a folder; it knows where it may not go."""

    def __init__(self, root: Path, ignoring: bool) -> None:
        self._root = root
        self._ignoring = ignoring

    def files(
        self, folder: Path, inside: PurePosixPath, rules: Rules, above: frozenset[Path]
    ) -> Iterator[tuple[str, Source]]:
        """`folder` is the real place, `inside` its name in the package, `rules` the ignore files that count
        for it, `above` the real folders the walk is in, so that links cannot send it round in circles.
        """
        if self._ignoring:
            rules += _rules_of(folder, inside)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            name = inside / entry.name
            if not _is_text(entry.name):
                raise PackageError(f"the name of {os.fsencode(inside / entry.name)!r} is not UTF-8 text; rename it")
            try:
                is_folder = entry.is_dir()
            except OSError as error:
                raise PackageError(f"{name} cannot be read: {error.strerror}") from error
            # git sees a link as a file, whatever it points to
            if self._ignoring and _left_out(name, is_folder, is_folder and not entry.is_symlink(), rules):
                continue
            path = self._real_place(Path(entry.path), name) if entry.is_symlink() else Path(entry.path)
            if is_folder:
                if path in above:
                    raise PackageError(f"the link {name} leads to a folder it is in; name it in .samovarignore")
                yield from self.files(path, name, rules, above | {path})
            else:
                yield str(name), _source(path, name)

    def _real_place(self, link: Path, name: PurePosixPath) -> Path:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise PackageError(f"the link {name} leads nowhere ({os.readlink(link)}); mend or ignore it") from error
        if not target.is_relative_to(self._root):
            raise PackageError(
                f"the link {name} leads out of the folder, to {target}; "
                "copy what it points to into the folder, or name the link in .samovarignore"
            )
        return target


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8; Linux allows any bytes, which Python carries as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rules_of(folder: Path, inside: PurePosixPath) -> Rules:
    rules: list[Rule] = []
    for file_name in IGNORE_FILES:
        path = folder / file_name
        if path.is_file():
            try:
                for line in path.read_text(encoding="utf-8-sig").split("\n"):
                    rules += _rule(inside, line.removesuffix("\r"))
            except (OSError, UnicodeDecodeError, GitIgnorePatternError) as error:
                raise PackageError(f"{inside / file_name} cannot be read: {error}") from error
    return tuple(rules)


def _rule(base: PurePosixPath, line: str) -> Iterator[Rule]:
    """The rule a line makes, if it makes one: not if it is blank, a comment, or nothing git understands."""
    text = _TRAILING_SPACES.sub("", line)
    pattern = GitIgnoreSpecPattern(text.removesuffix("/"))
    if pattern.include is not None:
        yield Rule(base=base, pattern=pattern, only_folders=text.endswith("/"))


def _left_out(name: PurePosixPath, is_folder: bool, as_folder: bool, rules: Rules) -> bool:
    """Asked from the top down, and never below a folder that was left out: so each path is judged by itself."""
    if name.name in IGNORE_FILES or str(name) == FILE_NAME or (is_folder and name.name in _NEVER_FOLDERS):
        return True
    last = next((rule for rule in reversed(rules) if rule.names(name, as_folder)), None)
    return last is not None and bool(last.pattern.include)


def _source(path: Path, name: PurePosixPath) -> Source:
    try:
        status = path.stat()
    except OSError as error:
        raise PackageError(f"{name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise PackageError(f"{name} is neither a file nor a folder; name it in .samovarignore")
    return Source(path=path, size=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))


def _entry(name: str, source: Source) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, so that the mode counts
    entry.external_attr = (stat.S_IFREG | (0o755 if source.executable else 0o644)) << 16
    entry.file_size = source.size
    return entry


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}") from error


def _too_large(how: str, size: int, limit: int, sources: dict[str, Source]) -> CodeStorageExceeded:
    biggest = sorted(sources.items(), key=lambda item: item[1].size, reverse=True)[:_BIGGEST_SHOWN]
    listed = "".join(f"\n  {source.size / 2**20:8.1f} MB  {name}" for name, source in biggest)
    return CodeStorageExceeded(
        f"the package is too large: {size / 2**20:.1f} MB {how}, {limit / 2**20:.0f} MB allowed. "
        f"Name what the function does not need in .samovarignore. The biggest files:{listed}"
    )

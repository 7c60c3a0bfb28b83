"""Mutation testing of the core: ``make mutants``.

mutmut changes the core in hundreds of small ways, one at a time, and runs its tests against
each; a mutant that no test notices has survived. This prints the score and each survivor with
the reason why no test can or need tell it from the original, and fails when the score is below
the target or a survivor has no reason. It fails, too, when a reason explains no survivor: no test
can kill that mutant, so either it is no more, and the reason to be deleted, or what killed it was
no test, and nor was what killed others.
"""

import os
import re
import shutil
import subprocess
import sys

TARGET = 95.0  # per cent of the mutants that the tests must kill

# By the changed line, as it stands in the mutant, why no test can tell it from the original.
EQUIVALENT = {
    "as false as an empty string": ("self._cookie = None  # it has done its work",),
    "what is left of a line is nothing, then": (
        'self.mark, self._partial = answer.stop, partial if (answer.stop.offset) or True else b""',
    ),
    "nobody joins by a request that only fetches": ("happenings = self._take(answer, news, None)",),
    "no try has a lesser number": (
        "self._proved_by = 1  # the first with the cookie",
        "self.due, self._sent, self._proved_by, self._refused = 0, [], 1, 0",
    ),
    "it is bounded before that": (
        "bounded = max(MIN_MILLISECONDS, first) * 2 ** min(max(0, tries - EQUAL_TRIES), 17)",
    ),
    "it is set before it is looked at": (
        "self._authors: set[int] = None",
        "self._lowest = None  # no cursor stands before this",
        "self._variation = 1.0",
        "self._variation = None",
    ),
    "at the boundary both ways do the same": (
        "if room is None or len(whole) < room:",
        "elif begin.offset or (begin >= self.mark and answer.number == 0):",
        "if news is None or not (answer.stop >= self.mark or joined):",
        "if member.cursor.position <= standing <= self.timeline.end:",
        "if not self._standing or position <= self._lowest:",
        "if self._acknowledge_at is None or self._acknowledge_at >= due:",
        "while index <= last:",
    ),
    "no stamp begins with a line feed": ('fitting = whole[: whole.rfind(b"\\n", 1, room) + 1]',),
    "what it looks for stands there once at the most": (
        "old, renamed, new = shown.rpartition(_RENAMED)",
        'name, _, value = option.rpartition(b"=")',
        'count, _, before = value.rpartition(b":")',
    ),
    "the original saves time, or bounds it, and comes to the same": (
        "and position > timeline.start",
        "fitting = bisect_right(page.ends, page.start(start) + room, )",
        "fitting = bisect_right(page.ends, start)",
        "if first + fitting > self.stop:",
        "if first - fitting >= self.stop:",
        "has_own = self.author in page.authors[start : fitting + 2]",
        "page = None",
        "page = self._pages[0].page if (self._pages) and False else None",
        "return self._until(first + fitting, None)  # so nobody need look again",
        "far = position - len(standing)",
        "if len(spaced) > 5 * MAX_NAME_CHARACTERS:",
        "if position > self._last.first:",
        "if position > self.stop:",
        "if position > self._last.first and position >= self._dropped:",
        "if position >= self._last.first and position > self._dropped:",
        "return once if (once == twice) and False else _folded(_folded(twice))",
        (
            "self._lowest = position if (position in standing) and False else "
            "min(standing, default=self.end)"
        ),
        "sender = self._senders.get(None) or sender_of(token)",
        "while position <= far and position not in standing:",
        "while position < far and position in standing:",
    ),
    "another name of the same digest": (
        'digest = hmac.digest(self._secret, f"{period} {address}".encode(), "SHA256")',
    ),
}
REASONS = {line: why for why, lines in EQUIVALENT.items() for line in lines}
# By what the changed line has lost.
REASONS_BY_LOSS = {
    "strict=True": "an assertion that never fails",
    "strict=False": "what zip does by itself",
    '"latin-1"': "another name of the same encoding",
}
# By what became what.
REASONS_BY_CHANGE = {
    ("False", "None"): "as false as False",
    ("0", "None"): "as false as 0",
}
# By the function.
REASONS_BY_FUNCTION = {
    "groupchat.core.sessions.replies.x__key": "runs at import, when no mutant is switched on yet",
}


def mutmut(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def changed(diff: list[str], sign: str) -> str:
    """Return the first line of *diff* with that *sign*."""
    return next(d[1:].strip() for d in diff if d.startswith(sign) and not d.startswith(3 * sign))


def change(before: str, after: str) -> tuple[str, str] | None:
    """Return the one word that has changed, and what it is now; None if more has."""
    words = [re.findall(r"\w+|\W", line) for line in (before, after)]
    pairs = {(old, new) for old, new in zip(*words, strict=False) if old != new}
    return pairs.pop() if len(pairs) == 1 and len(words[0]) == len(words[1]) else None


def reason(name: str, before: str, after: str) -> str | None:
    """Return why the mutant called *name* survives, whose change is from *before* to *after*."""
    losses = (why for loss, why in REASONS_BY_LOSS.items() if loss in before and loss not in after)
    function = name.partition("__mutmut_")[0]
    return (
        REASONS.get(after)
        or next(losses, None)
        or REASONS_BY_CHANGE.get(change(before, after) or ("", ""))
        or REASONS_BY_FUNCTION.get(function)
    )


def main() -> int:
    shutil.rmtree("mutants", ignore_errors=True)  # what an earlier run knew may be out of date
    meant_to_fail = {**os.environ, "GROUPCHAT_TEST_MEANT_TO_FAIL": "1"}
    subprocess.run([sys.executable, "-m", "mutmut", "run"], check=True, env=meant_to_fail)
    lines = mutmut("results", "--all", "true").splitlines()
    results = [line.strip().split(": ") for line in lines if line]
    killed = [name for name, status in results if status in ("killed", "timeout")]
    score = 100 * len(killed) / len(results)
    unexplained = 0
    stale = set(REASONS)
    print(f"\n{len(results)} mutants of groupchat/core, {len(killed)} killed: {score:.1f} %")
    for name, status in results:
        if name in killed:
            continue
        diff = mutmut("show", name).splitlines()
        line = changed(diff, "+")
        why = reason(name, changed(diff, "-"), line)
        stale.discard(line)
        unexplained += why is None
        print(f"  {status}: {line}\n      {why or 'NO REASON KNOWN'}")
    for line in sorted(stale):
        print(f"  a reason without a survivor: {line}")
    if score < TARGET or unexplained or stale:
        print(f"target: {TARGET} % killed; a reason for each survivor, and a survivor for each")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

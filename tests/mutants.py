"""Mutation testing of the core: ``make mutants``.

mutmut changes the core in hundreds of small ways, one at a time, and runs its tests against
each; a mutant that no test notices has survived. This prints the score and each survivor with
the reason why no test can or need tell it from the original, and fails when the score is below
the target or a survivor has no reason.
"""

import shutil
import subprocess
import sys

TARGET = 95.0  # per cent of the mutants that the tests must kill

# By the changed line, as it stands in the mutant.
REASONS = {
    "old, renamed, new = shown.rpartition(_RENAMED)": "equivalent: the phrase stands there once",
    "if member.cursor.position <= standing <= self.timeline.end:": "equivalent: moves nowhere",
    "if len(spaced) > 5 * MAX_NAME_CHARACTERS:": "equivalent: only bounds the time NFC takes",
    'name, _, value = option.rpartition(b"=")': "equivalent: no option holds two of them",
    'count, _, before = value.rpartition(b":")': "equivalent: no option holds two of them",
    "sender = self._senders.get(None) or sender_of(token)": "equivalent: only saves time",
    'digest = hmac.digest(self._secret, f"{period} {address}".encode(), "SHA256")': (
        "equivalent: a name of the same"
    ),
    'return crc32(b"XX\\nXX".join(commands))': "equivalent: anything that tells where each ends",
    "self._variation = None": "equivalent: the first measurement sets it",
    "self._variation = 1.0": "equivalent: the first measurement sets it",
    "self._lowest = None  # no cursor stands before this": "equivalent: the first cursor sets it",
    "if not self._standing or position <= self._lowest:": "equivalent: the same again",
    # Both lead to the same excerpt.
    "if position > self._last.first and position >= self._dropped:": "equivalent: only saves time",
    "if position >= self._last.first and position > self._dropped:": "equivalent: only saves time",
    # To look near or everywhere finds the same cursor.
    "far = position - len(standing)": "equivalent: only saves time",
    "while position <= far and position not in standing:": "equivalent: only saves time",
    "while position < far and position in standing:": "equivalent: only saves time",
    (
        "self._lowest = position if (position in standing) and False"
        " else min(standing, default=self.end)"
    ): "equivalent: only saves time",
    "member.untold = None": "equivalent: as false as 0",
    "if done <= count:": "equivalent: then there is nothing to add",
    "while index <= last:": "equivalent: a span of no lines is none",
    # All ways to go through an excerpt where one look shows that all of it has room.
    "last = None": "equivalent: only saves time",
    "last = self._pages[-1] if (self._pages) and False else None": "equivalent: only saves time",
    "if isinstance(last, Page) and last.first < self.start:": "equivalent: only saves time",
    "first = last.start(None)": "equivalent: only saves time",
    "if last.start(self.stop - last.first) + first <= room:": "equivalent: only saves time",
    "if last.start(self.stop - last.first) - first < room:": "equivalent: only saves time",
    "return once if (once == twice) and False else _folded(_folded(twice))": (
        "equivalent: no name changes after the second round if it did not in that"
    ),
    "self._taken[name_key(name)] = None": "equivalent: as false as False",
    "self._taken[name_key(old)] = None": "equivalent: as false as False",
    "happenings = self._bookmark.take(answer, news, joined=None)": "equivalent: as false as False",
    "self._resuming = None": "equivalent: as false as False",
    "if self._acknowledge_at is None or self._acknowledge_at >= due:": "equivalent: the same again",
}
# By what the changed line has lost.
REASONS_BY_LOSS = {"strict=True": "equivalent: an assertion that never fails"}
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


def reason(name: str, before: str, after: str) -> str | None:
    """Return why the mutant called *name* survives, whose change is from *before* to *after*."""
    losses = (why for loss, why in REASONS_BY_LOSS.items() if loss in before and loss not in after)
    function = name.partition("__mutmut_")[0]
    return REASONS.get(after) or next(losses, None) or REASONS_BY_FUNCTION.get(function)


def main() -> int:
    shutil.rmtree("mutants", ignore_errors=True)  # what an earlier run knew may be out of date
    subprocess.run([sys.executable, "-m", "mutmut", "run"], check=True)
    lines = mutmut("results", "--all", "true").splitlines()
    results = [line.strip().split(": ") for line in lines if line]
    killed = [name for name, status in results if status in ("killed", "timeout")]
    score = 100 * len(killed) / len(results)
    unexplained = 0
    print(f"\n{len(results)} mutants of groupchat/core, {len(killed)} killed: {score:.1f} %")
    for name, status in results:
        if name in killed:
            continue
        diff = mutmut("show", name).splitlines()
        line = changed(diff, "+")
        why = reason(name, changed(diff, "-"), line)
        unexplained += why is None
        print(f"  {status}: {line}\n      {why or 'NO REASON KNOWN'}")
    if score < TARGET or unexplained:
        print(f"target: {TARGET} % killed, and a reason for each survivor")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

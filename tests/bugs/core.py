"""Bugs in the core: the group, its timeline, names and lines, and plain requests."""

from tests.bugs.bug import Bug

__all__ = ["BUGS"]

BUGS = [
    Bug(
        "nobody is shown his own events",
        "core/group.py",
        "self.timeline.append(line, SAID, time, member.cursor)",
        "self.timeline.append(line, SAID, time)",
        "tests/core/test_group.py",
    ),
    Bug(
        "to send is the same work with any number of members",
        "core/group.py",
        "                line = said_line(member.name, command.text)\n",
        "                line = said_line(member.name, command.text)\n"
        "                for _ in self._by_age:\n                    pass\n",
        "tests/core/test_costs.py",
    ),
    Bug(
        "what does not fit a reply waits for the next",
        "core/pages.py",
        "stop = page.first + (fitting if some or fitting > span.start else fitting + 1)",
        "stop = self.stop",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "a line longer than the budget is sent all the same",
        "core/pages.py",
        "(fitting if some or fitting > span.start else fitting + 1)",
        "fitting",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "what somebody has yet to read is not forgotten",
        "core/timeline.py",
        "self._pages[count].page.stop <= before:",
        "self._pages[count].page.first <= before:",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "what everybody has read is forgotten",
        "core/timeline.py",
        "            self._lowest = position if position in standing else",
        "            return\n            self._lowest = position if position in standing else",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "names are compared, not only spelt",
        "core/group.py",
        "if self._taken.get(key, self._group.is_taken(key)):",
        "if name in list(self._group):",
        "tests/core/test_group.py",
    ),
    Bug(
        "a name is in use until its owner has left",
        "core/group.py",
        "self._take(name)\n        member.name = name",
        "member.name = name",
        "tests/core/test_group.py",
    ),
    Bug(
        "a refusal changes nothing",
        "core/group.py",
        "return command if is_legal_text(command.text) else Refused(Reason.ILLEGAL_TEXT)",
        "return command",
        "tests/core/test_group.py",
    ),
    Bug(
        "the rest of a long roster is told later",
        "core/group.py",
        "                return members, members[-1].joined\n",
        "                return members, 0\n",
        "tests/core/test_group.py",
    ),
    Bug(
        "no name takes long to judge",
        "core/names.py",
        "> MAX_EXPANDED_CHARACTERS:",
        "> 10_000:",
        "tests/core/test_names.py -k expand",
    ),
    Bug(
        "no text breaks a line",
        "core/names.py",
        r"\x0a-\x1f",
        r"\x0b-\x1f",
        "tests/core/test_names.py",
    ),
    Bug(
        "no name imitates a line",
        "core/names.py",
        "_IMITATES_A_LINE.search(key)",
        "False",
        "tests/core/test_lines.py tests/core/test_names.py",
    ),
    Bug(
        "bytes that are not UTF-8 are refused",
        "core/plain.py",
        "    except UnicodeDecodeError:\n        return _NOT_A_REQUEST",
        "    except UnicodeEncodeError:\n        return _NOT_A_REQUEST",
        "tests/core/test_plain.py",
    ),
    Bug(
        "a reply stays what it was when it was given",
        "core/pages.py",
        "        return bytes(memoryview(self.lines)[self.start(start) : self.start(stop)])",
        "        return bytes(memoryview(self.lines)[self.start(start) :])",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "no member can imitate what the server itself says",
        "core/names.py",
        "|^server error$",
        "",
        "tests/core/test_names.py",
    ),
    Bug(
        "what waits to be read keeps no page that it does not show",
        "core/pages.py",
        "        if pages[-1].first >= stop:",
        "        if False:",
        "tests/core/test_archive.py -k cut_off",
    ),
    Bug(
        "a reply that waits keeps no page that was put away",
        "core/pages.py",
        "    _pages: Sequence[Place] = ()",
        "    _pages: Sequence[Place] = field(\n"
        "        default=(), converter=lambda pages: [Place(place.page) for place in pages]\n"
        "    )",
        "tests/core/test_archive.py -k excerpt_that_waits",
    ),
    Bug(
        "what one has yet to read can be put away although all others have passed it",
        "core/timeline.py",
        '        return sorted(self._forgotten, key=attrgetter("page.first")) + self._pages',
        "        return self._pages",
        "tests/core/test_archive.py -k everybody_has_passed",
    ),
]

"""A whole chat in one thread, with nothing real but the code: the simulator.

The server, its journal and both halves of the sessions are the ones that people run. The clock,
the network, the disk and all chance are made here, out of one number, the *seed*: the same seed
gives the same run, to the byte, on every machine. So whatever goes wrong once goes wrong again
for whoever looks into it.

=========================  ==============================================================
:mod:`~.world`             the clock, the order of what happens, chance, and the trace
:mod:`~.network`           datagrams
:mod:`~.connection`        connections
:mod:`~.disk`              what a journal is stored on
:mod:`~.machine`           the server's process: it starts, stops, and is killed
:mod:`~.client`            members by sessions
:mod:`~.link`              their way to the server
:mod:`~.wishes`            what they wish to do
:mod:`~.plain`             members by the plain protocol
:mod:`~.hostile`           senders of junk
:mod:`~.faults`            what goes wrong, and when
:mod:`~.truth`             what the log says, as simply as that can be said
:mod:`~.checker`           what must hold, after every step
:mod:`~.readers`           how far each member has been told
:mod:`~.run`               one seed
:mod:`~.campaign`          many
=========================  ==============================================================

``make simulate`` runs seeds until it is stopped, ``make simulate SEED=7`` one of them again.
"""

"""Long runs against real servers, over real sockets. Each has a short form among the tests."""

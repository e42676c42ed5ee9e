"""Distance: addresses whose name server is elsewhere and whose answers come so much later, each by itself."""

import asyncio
import threading


class _Question(asyncio.DatagramProtocol):
    """One question on its way to the real server, with its answer's way back."""

    def __init__(self, back):
        self.back = back

    def datagram_received(self, data, _):
        self.back(data)
        self.transport.close()

    def connection_made(self, transport):
        self.transport = transport

    def error_received(self, _):
        self.transport.close()


class _Door(asyncio.DatagramProtocol):
    def __init__(self, loop, server, delay_s):
        self.loop, self.server, self.delay_s = loop, server, delay_s

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        back = lambda answer: self.loop.call_later(self.delay_s, self.transport.sendto, answer, sender)
        self.loop.create_task(self._ask(data, back))

    async def _ask(self, data, back):
        transport, _ = await self.loop.create_datagram_endpoint(lambda: _Question(back), remote_addr=(self.server, 53))
        transport.sendto(data)


class Delays:
    """{address: address of the real server}."""

    def __init__(self, doors, delay_s):
        self.loop, self.delay_s = asyncio.new_event_loop(), delay_s
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(doors, ready), daemon=True)
        self.thread.start()
        ready.wait(10)

    def _run(self, doors, ready):
        async def open_all():
            for address, server in doors.items():
                await self.loop.create_datagram_endpoint(lambda s=server: _Door(self.loop, s, self.delay_s), local_addr=(address, 53))
                await asyncio.start_server(lambda r, w, s=server: self._stream(r, w, s), address, 53)
            ready.set()
        self.loop.run_until_complete(open_all())
        self.loop.run_forever()

    async def _stream(self, reader, writer, server):
        await asyncio.sleep(self.delay_s)  # the handshake
        there = await asyncio.open_connection(server, 53)
        await asyncio.gather(self._copy(reader, there[1], 0), self._copy(there[0], writer, self.delay_s), return_exceptions=True)

    async def _copy(self, reader, writer, delay_s):
        while data := await reader.read(65536):
            await asyncio.sleep(delay_s)
            writer.write(data)
        writer.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

"""What a management tool does with the control socket, by Python's own client for the protocol."""

import asyncio
import os
import sys

from qemu.qmp import EventListener, ExecuteError, QMPClient

socket, directory = sys.argv[1:]


async def main():
    qmp = QMPClient("test")
    await qmp.connect(socket)
    assert qmp.greeting.QMP.version["package"] == "idem86"
    names = {command["name"] for command in await qmp.execute("query-commands")}
    assert {"stop", "cont", "quit", "screendump", "send-key"} <= names

    async def status():
        return (await qmp.execute("query-status"))["status"]

    assert await status() == "paused"
    with qmp.listener(["STOP", "RESUME", "RESET", "POWERDOWN"]) as events:
        await qmp.execute("cont")
        assert (await events.get())["event"] == "RESUME"
        assert await status() == "running"
        await qmp.execute("system_powerdown")
        assert (await events.get())["event"] == "POWERDOWN"
        await qmp.execute("system_reset")
        event = await events.get()
        assert event["event"] == "RESET" and event["data"]["guest"] is False
        assert event["timestamp"]["seconds"] > 0
        await qmp.execute("stop")
        assert (await events.get())["event"] == "STOP"

    try:
        await qmp.execute("no-such-command")
        raise AssertionError("it was done")
    except ExecuteError as e:
        assert e.error_class == "CommandNotFound"

    registers = await qmp.execute("human-monitor-command", {"command-line": "info registers"})
    assert "EAX=" in registers and "CR0=" in registers
    picture = os.path.join(directory, "screen.png")
    await qmp.execute("screendump", {"filename": picture, "format": "png"})
    with open(picture, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    await qmp.execute("send-key", {"keys": [{"type": "qcode", "data": "ret"}]})
    blocks = await qmp.execute("query-block")
    assert any(block["device"] == "floppy0" and "inserted" in block for block in blocks)

    schema = {entity["name"]: entity for entity in await qmp.execute("query-qmp-schema")}
    assert names == {name for name, entity in schema.items() if entity["meta-type"] == "command"}
    members = schema[schema["snapshot-save"]["arg-type"]]["members"]
    assert {member["name"] for member in members} == {"job-id", "tag", "vmstate", "devices"}

    async def job(command, tag):
        """Does a job to its end, and gives what is known of it then."""
        arguments = {"job-id": "job", "tag": tag, "vmstate": directory, "devices": ["floppy0"]}
        with qmp.listener("JOB_STATUS_CHANGE") as events:
            await qmp.execute(command, arguments)
            async for event in events:
                assert event["data"]["id"] == "job"
                if event["data"]["status"] == "concluded":
                    break
        (info,) = await qmp.execute("query-jobs")
        assert info["id"] == "job" and info["type"] == command and info["status"] == "concluded"
        await qmp.execute("job-dismiss", {"id": "job"})
        assert await qmp.execute("query-jobs") == []
        return info

    before = await qmp.execute("human-monitor-command", {"command-line": "info registers"})
    assert "error" not in await job("snapshot-save", "tag")
    await qmp.execute("cont")
    while await qmp.execute("human-monitor-command", {"command-line": "info registers"}) == before:
        await asyncio.sleep(0.01)
    await qmp.execute("stop")
    assert "error" not in await job("snapshot-load", "tag")
    assert await qmp.execute("human-monitor-command", {"command-line": "info registers"}) == before
    assert "error" in await job("snapshot-save", "tag")
    assert "error" not in await job("snapshot-delete", "tag")
    assert "error" in await job("snapshot-load", "tag")
    try:
        await qmp.execute("snapshot-save", {"job-id": 1})
        raise AssertionError("it was done")
    except ExecuteError as e:
        assert e.error_class == "GenericError"

    shutdown = EventListener("SHUTDOWN")
    with qmp.listen(shutdown):
        await qmp.execute("quit")
        event = await asyncio.wait_for(shutdown.get(), 600)
        assert event["data"] == {"guest": False, "reason": "host-qmp-quit"}
    try:
        await qmp.disconnect()
    except EOFError:
        pass
    print("content")


asyncio.run(main())

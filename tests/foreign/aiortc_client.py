#!/usr/bin/env python3
"""Joins a room by signal.v1 with aiortc, calls the first peer there, and reports what came as one JSON object.

Written after docs/signaling-protocol.md: the client shares no code with the server or the page.
"""

import argparse
import asyncio
import fractions
import json
import math
import struct
import sys
import time

import websockets
from aiortc import (
    AudioStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

MESSAGES = 50
SAMPLE_RATE = 48000
SAMPLES = 960


class Tone(AudioStreamTrack):
    """Sine of 440 Hz in frames of 20 ms."""

    position = 0
    started = None

    async def recv(self):
        self.started = self.started or time.monotonic()
        ahead = self.started + self.position / SAMPLE_RATE - time.monotonic()
        await asyncio.sleep(max(0, ahead))
        angle = 2 * math.pi * 440 / SAMPLE_RATE
        values = (int(8000 * math.sin(angle * (self.position + n))) for n in range(SAMPLES))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(struct.pack(f"<{SAMPLES}h", *values))
        frame.pts, frame.sample_rate = self.position, SAMPLE_RATE
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self.position += SAMPLES
        return frame


class Bars(VideoStreamTrack):
    """Two grey halves that exchange their places."""

    count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(320, 240, "yuv420p")
        self.count += 1
        light, dark = (220, 40) if self.count // 10 % 2 else (40, 220)
        for index, plane in enumerate(frame.planes):
            half = plane.buffer_size // 2
            halves = bytes([light]) * half + bytes([dark]) * (plane.buffer_size - half)
            plane.update(halves if index == 0 else bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Call:
    """One connection with one peer, and what came over it."""

    def __init__(self, servers, report):
        self.report = report
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self.connection.addTrack(Tone())
        self.connection.addTrack(Bars())
        self.connection.createDataChannel("chat", negotiated=True, id=0)
        self.echo = self.connection.createDataChannel("echo", negotiated=True, id=1)
        self.echo.on("message", self.heard)
        self.connection.on("track", lambda track: asyncio.ensure_future(self.count(track)))

    async def count(self, track):
        try:
            while True:
                await track.recv()
                self.report[track.kind] += 1
        except MediaStreamError:
            pass

    def heard(self, text):
        message = json.loads(text)
        if not self.report["sent"]:
            for number in range(1, MESSAGES + 1):
                self.echo.send(json.dumps({"type": "ping", "n": number}))
                self.report["sent"] += 1
        if message["type"] == "ping":
            self.echo.send(json.dumps({"type": "pong", "n": message["n"]}))
        if message["type"] == "pong" and message["n"] == self.report["echoed"] + 1:
            self.report["echoed"] += 1

    async def describe(self, kind):
        made = self.connection.createOffer() if kind == "offer" else self.connection.createAnswer()
        await self.connection.setLocalDescription(await made)
        local = self.connection.localDescription
        return {"type": local.type, "sdp": local.sdp}


class Client:
    """The WebSocket: numbers, acknowledgements, and one call."""

    def __init__(self, socket, options, report):
        self.socket, self.options, self.report = socket, options, report
        self.next_id = 1
        self.servers = []
        self.call = None
        self.epoch = 0

    async def send(self, **message):
        await self.socket.send(json.dumps(message))

    async def signal(self, peer, description):
        number, self.next_id = self.next_id, self.next_id + 1
        await self.send(type="signal", id=number, to=peer, epoch=self.epoch, description=description)

    async def met(self, peer):
        if self.options.offer and not self.call:
            self.call = Call(self.servers, self.report)
            self.epoch = 1
            await self.signal(peer["peer"], await self.call.describe("offer"))

    async def described(self, message):
        description, self.epoch = message["description"], message["epoch"]
        self.call = self.call or Call(self.servers, self.report)
        given = RTCSessionDescription(sdp=description["sdp"], type=description["type"])
        await self.call.connection.setRemoteDescription(given)
        if description["type"] == "offer":
            await self.signal(message["from"], await self.call.describe("answer"))

    async def take(self, message):
        """Whether the conversation goes on after this message."""
        kind = message["type"]
        if kind == "welcome":
            for server in message["ice_servers"]:
                server.pop("expires_at", None)
                self.servers.append(RTCIceServer(**server))
            for peer in message["room"]["peers"]:
                await self.met(peer)
        elif kind == "peer_joined":
            await self.met(message["peer"])
        elif kind == "signal" and "description" in message:
            await self.described(message)
        elif kind == "signal" and message.get("candidate"):
            await self.candidate(message["candidate"])
        elif kind == "error" and "id" not in message:
            raise RuntimeError(message["message"])
        if "seq" in message:
            await self.send(type="ack", seq=message["seq"])
        return kind != "peer_left"

    async def candidate(self, given):
        from aiortc.sdp import candidate_from_sdp

        if self.call and given["candidate"]:
            candidate = candidate_from_sdp(given["candidate"].split(":", 1)[1])
            candidate.sdpMid, candidate.sdpMLineIndex = given.get("sdpMid"), given.get("sdpMLineIndex")
            await self.call.connection.addIceCandidate(candidate)


async def main(options):
    report = {"sent": 0, "echoed": 0, "audio": 0, "video": 0, "problem": None}
    try:
        async with websockets.connect(options.url, subprotocols=["signal.v1"]) as socket:
            client = Client(socket, options, report)
            media = {"audio": True, "video": True, "screen": False}
            await client.send(type="hello", room=options.room, name="aiortc", media=media)
            async with asyncio.timeout(options.wait):
                async for text in socket:
                    if not await client.take(json.loads(text)):
                        break
            await client.send(type="bye")
            if client.call:
                await client.call.connection.close()
    except (OSError, RuntimeError, TimeoutError, websockets.WebSocketException) as error:
        report["problem"] = repr(error)
    report["ok"] = (
        report["echoed"] == MESSAGES and report["audio"] > 0 and report["video"] > 0 and not report["problem"]
    )
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="ws://HOST:PORT/signal")
    parser.add_argument("--room", required=True)
    parser.add_argument("--offer", action="store_true", help="make the first offer")
    parser.add_argument("--wait", type=float, default=120, help="seconds until the peer must have left")
    sys.exit(asyncio.run(main(parser.parse_args())))

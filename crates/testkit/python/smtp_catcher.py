"""A mail server for tests: it takes mail as any server would, and prints what it took, one JSON object a line.

It says on which port it listens, and lives as long as its standard input is open. How a recipient is treated stands in
the address: `550+ada@example.org` is answered with 550, `451x2+ada@example.org` with 451 twice and then taken, and
`hang+ada@example.org` is never answered after its mail came.
"""

import argparse
import asyncio
import json
import re
import socket
import ssl
import sys
from collections import Counter

from aiosmtpd.smtp import SMTP, AuthResult


class Catcher:
    def __init__(self):
        self.refused = Counter()

    async def handle_RCPT(self, server, session, envelope, address, options):
        wanted = re.match(r"(\d{3})(?:x(\d+))?\+", address)
        if wanted and (wanted[2] is None or self.refused[address] < int(wanted[2])):
            self.refused[address] += 1
            return f"{wanted[1]} the test wants it so"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("hang+") for address in envelope.rcpt_tos):
            await asyncio.Event().wait()
        caught = {
            "tls": server.transport.get_extra_info("cipher") is not None,
            "hello": session.host_name,
            "user": session.auth_data.login.decode() if session.authenticated else None,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode(),
        }
        print(json.dumps(caught), flush=True)
        return "250 taken"


def authenticator(user, password):
    def check(server, session, envelope, mechanism, data):
        right = (data.login.decode(), data.password.decode()) == (user, password)
        return AuthResult(success=right, handled=False, auth_data=data if right else None)

    return check


async def main(wanted):
    context = None
    if wanted.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(wanted.certificate, wanted.key)
    handler = Catcher()
    options = {"hostname": "smtp.example.org", "timeout": 3600}
    if wanted.tls == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if wanted.user:
        # Below implicit TLS the server does not see the TLS that it is inside of.
        within = {"auth_require_tls": wanted.tls == "starttls", "auth_required": True}
        options |= within | {"authenticator": authenticator(wanted.user, wanted.password)}
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", wanted.port))
    await loop.create_server(
        lambda: SMTP(handler, loop=loop, **options),
        sock=listening,
        ssl=context if wanted.tls == "implicit" else None,
    )
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", choices=["starttls", "implicit", "none"], default="starttls")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    asyncio.run(main(parser.parse_args()))

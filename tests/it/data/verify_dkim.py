"""Verifies a message's signature as an independent verifier does: dkimpy, with one name in its DNS.

Takes the message from standard input, and the name and its TXT record as arguments; prints "pass" or "fail".
"""

import sys

import dkim

name, record = (argument.encode() for argument in sys.argv[1:])
print("pass" if dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda asked, timeout=5: record if asked == name else None) else "fail")

"""Reads a message as an independent reader does: Python's email package, by the rules for SMTP.

Takes it from standard input, and prints what it says as JSON; whatever it finds wrong stands under "defects".
"""

import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
parts = [part for part in message.walk() if not part.is_multipart()]
defects = [str(defect) for part in message.walk() for defect in part.defects]
defects += [f"{name}: {defect}" for name, value in message.items() for defect in value.defects]
[sender] = message["From"].addresses
[recipient] = message["To"].addresses
json.dump(
    {
        "defects": defects,
        "headers": [name for name, _ in message.items()],
        "from_name": sender.display_name,
        "from": sender.addr_spec,
        "to": recipient.addr_spec,
        "subject": message["Subject"],
        "date": int(message["Date"].datetime.timestamp()),
        "message_id": message["Message-ID"],
        "auto_submitted": message["Auto-Submitted"],
        "mime_version": message["MIME-Version"],
        "types": [part.get_content_type() for part in parts],
        "encodings": [part["Content-Transfer-Encoding"] for part in parts],
        "texts": [part.get_content().replace("\r\n", "\n") for part in parts],
    },
    sys.stdout,
)

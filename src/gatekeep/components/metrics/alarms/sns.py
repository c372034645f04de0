"""SNS: an alarm's change of state to an Amazon SNS topic, in the words of CloudWatch's own messages; needs the extra `aws`."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from ....component import caller
from ....errors import ConfigurationError, to_install
from ....forks import reset_after_fork
from .change import AlarmChange

__all__ = ["SNS"]

_ARN = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):(\d{12}):[\w-]{1,256}(\.fifo)?")
_SUBJECT = 100


class SNS:
    """A topic. What subscribes to CloudWatch's alarms understands its messages: AlarmName, NewStateValue, NewStateReason, ….

    `client`: a boto3 client for SNS; otherwise one is made for the topic's region and `endpoint_url`, with boto3's own
    credentials. Raises ConfigurationError.
    """

    def __init__(self, topic_arn: str, *, client: Any = None, endpoint_url: str | None = None) -> None:
        found = _ARN.fullmatch(topic_arn)
        if found is None:
            raise ConfigurationError(
                f"SNS: {topic_arn!r} is no ARN of a topic", origin=caller(), fix="arn:aws:sns:eu-west-1:123456789012:alarms"
            )
        if client is None:
            try:
                import boto3  # noqa: F401
            except ImportError:
                raise ConfigurationError("SNS needs boto3", origin=caller(), fix=to_install("aws")) from None
        self.topic_arn = topic_arn
        self._region, self._account, self._fifo = found[1], found[2], found[3] is not None
        self._given = client
        self._endpoint_url = endpoint_url
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child opens connections of its own."""
        self._client = self._given

    def __str__(self) -> str:
        return f"topic {self.topic_arn.rpartition(':')[2]}"

    def send(self, change: AlarmChange) -> None:
        """Publish; blocking. Raises what boto3 raises."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            bounds = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 4, "mode": "standard"})
            self._client = boto3.client("sns", region_name=self._region, endpoint_url=self._endpoint_url, config=bounds)
        message = json.dumps(self._message(change))
        subject = f'{change.state}: "{change.name}" in {self._region}'
        options = {}
        if self._fifo:
            options = {"MessageGroupId": "gatekeep", "MessageDeduplicationId": hashlib.sha256(message.encode()).hexdigest()}
        # SNS takes one line of ASCII.
        plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in subject)[:_SUBJECT]
        self._client.publish(TopicArn=self.topic_arn, Subject=plain, Message=message, **options)

    def _message(self, change: AlarmChange) -> dict[str, Any]:
        at = datetime.fromtimestamp(change.at, UTC)
        where = {"Level": change.level, "Host": change.host, "Process": str(change.process)}
        return {
            "AlarmName": change.name,
            "AlarmDescription": change.when,
            "AWSAccountId": self._account,
            "NewStateValue": change.state,
            "NewStateReason": change.reason,
            "StateChangeTime": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000",
            "Region": self._region,
            "OldStateValue": change.previous,
            "Trigger": {
                "MetricName": change.metric,
                "Namespace": "gatekeep",
                "Dimensions": [{"name": name, "value": value} for name, value in where.items()],
                "Period": int(change.period),
                "Threshold": change.threshold,
                "Unit": change.unit,
            },
        }

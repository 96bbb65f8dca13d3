"""Who the validator is towards its peers."""

from dataclasses import dataclass

from compute_horde_common.clock import Clock
from compute_horde_common.protocol.facilitator_validator import (
    ChallengeAuthentication,
    StaticAuthentication,
    challenge_text,
)
from compute_horde_common.protocol.signatures import Signer, Verifier, hex_signed
from compute_horde_common.protocol.validator_miner import Authenticate, authentication_text


@dataclass(frozen=True, slots=True)
class Office:
    """Who we are and what time it is. ``public_key`` has 32 bytes."""

    signer: Signer
    public_key: bytes
    verify: Verifier
    clock: Clock

    def challenge_answer(self, nonce: str) -> ChallengeAuthentication:
        """What lets us in at a facilitator that asked with a nonce."""
        text = challenge_text(self.signer.ss58, nonce)
        return ChallengeAuthentication(
            hotkey=self.signer.ss58, nonce=nonce, signature=hex_signed(text, self.signer)
        )

    def static_authentication(self) -> StaticAuthentication:
        """What lets us in at a facilitator that knows no challenge."""
        signature = self.signer.sign(self.public_key)
        return StaticAuthentication(
            public_key=self.public_key.hex(), signature="0x" + signature.hex()
        )

    def authentication(self, miner_hotkey: str) -> Authenticate:
        """What lets us in at a miner, for a few seconds."""
        timestamp = int(self.clock.now().timestamp())
        text = authentication_text(self.signer.ss58, miner_hotkey, timestamp)
        return Authenticate(
            validator_hotkey=self.signer.ss58,
            miner_hotkey=miner_hotkey,
            timestamp=timestamp,
            signature=hex_signed(text, self.signer),
        )

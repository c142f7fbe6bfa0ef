"""What the daemon's memory comes to after very many messages, and whether it still grows."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.measurements.intake import Say
from bench.setting.daemon_process import Home, daemon, missing_rows
from bench.setting.messages import Load
from bench.setting.processes import Child
from bench.setting.server import connected
from bench.setting.streams import CONSUMER, BenchError, ConsumerWatch, fill

_SAMPLE_S: Final = 0.5
_TIMEOUT_S: Final = 3_600.0


@dataclass(slots=True)
class MemoryUse:
    """Resident MiB, sampled twice a second from the first message on; ``peak_mib`` is the kernel's own record."""

    messages: int
    samples_mib: list[float] = field(default_factory=list)
    rss_mib: float = 0.0
    peak_mib: float = 0.0

    @property
    def growth_mib(self) -> float:
        """How much higher the last fifth of the run lies than the second one, by their highest samples."""
        fifth = max(1, len(self.samples_mib) // 5)
        return max(self.samples_mib[-fifth:]) - max(self.samples_mib[fifth : 2 * fifth] or self.samples_mib)


async def measure_memory(messages: int, work_dir: Path, say: Say) -> MemoryUse:
    """Producers fill the stream as fast as it takes messages, while the daemon works it off."""
    use = MemoryUse(messages)
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure()
        async with daemon(home) as running, connected(running.nats_url) as client:
            sampling = asyncio.create_task(_sample(running.process, use))
            try:
                last = await fill(client, Load.of(messages).bodies())
                say(f"{messages:,} messages published")
                await ConsumerWatch(client, CONSUMER).done(last, running.process, _TIMEOUT_S)
            finally:
                sampling.cancel()
            use.rss_mib, use.peak_mib = running.process.memory_mib()
        if faults := missing_rows(home, messages):
            raise BenchError(f"headgate was wrong: {'; '.join(faults)}")
    return use


async def _sample(process: Child, use: MemoryUse) -> None:
    while not process.ended():
        use.samples_mib.append(process.memory_mib()[0])
        await asyncio.sleep(_SAMPLE_S)

"""How good a generator is, on training rows that it did not see: the numbers by which its settings are chosen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from benchmarks.members import hold_out

from tenfold.evaluation import generator_quality
from tenfold.orchestration.plan import CAS_DIGITS
from tenfold.seeds import SeedStream
from tenfold.settings import CAS_EPOCHS, Cgan, Fit
from tenfold.studies.cells import Material
from tenfold.studies.plain_loop import accuracy
from tenfold.studies.reference_net import reference_net, train_classifier, train_generator
from tenfold.training.device import prepare_process

REFERENCE_EPOCHS: Final = 6


def measure(cgan: Cgan, seeds: Iterable[int], material: Material) -> Iterator[dict[str, Any]]:
    """Train on the training part of fold 0 of 5; score on the 8,400 rows that the fold validates. One row per seed."""
    compute = material.compute
    device = prepare_process(compute)
    seen, unseen = hold_out(material.train, 0)
    net = reference_net(Material(seen, unseen, material.quick, compute), REFERENCE_EPOCHS)
    for seed in seeds:
        stream = SeedStream(seed, 0)
        started = time.perf_counter()
        generator = train_generator(seen, cgan, compute, stream)
        seconds = time.perf_counter() - started
        quality = generator_quality.measure(net, generator.sample, seen.images, unseen.images, seed, device)
        generated = generator.digits(CAS_DIGITS, stream.seed_of("cas"))
        student = train_classifier(generated, Fit(epochs=CAS_EPOCHS), compute, stream)
        yield {
            "cgan": asdict(cgan),
            "seed": seed,
            "seconds": round(seconds, 1),
            "variety": generator.variety,
            "cas": round(accuracy(student, unseen), 5),
            "quality": asdict(quality),
        }

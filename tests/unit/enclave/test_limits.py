"""Limits of the size class: judged before any key is asked for, and kept from inside while the study runs."""

from __future__ import annotations

import dataclasses
import signal
from types import SimpleNamespace

import msgspec
import pytest

from heartify.cohort.encrypted.column_file import file_bytes
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.run_clock import RunClock, code_for_lack_of_memory
from heartify.enclave.size_limits import check_size, count_parameters, working_bytes
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_hex
from heartify.protocol.eip712 import bytes32
from heartify.protocol.manifest import MAX_PART_ROWS, PADDING_ROWS, round_rows
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.plan import FactorSpec, InteractionSpec
from heartify.protocol.size_class import SIZE_CLASSES, SizeClass, size_class
from heartify.tee.limits import EnclaveLimits

SMALL = SIZE_CLASSES[0]


def job_of(plan, dictionary, *rows, number=1):
    """As much of a job as the check looks at."""
    hospitals = [SimpleNamespace(manifest=SimpleNamespace(rows_rounded=n), dictionary=dictionary) for n in rows]
    return SimpleNamespace(deal=SimpleNamespace(sizeClass=number), plan=plan, hospitals=tuple(hospitals))


def refusal(job):
    with pytest.raises(StudyFailedError) as caught:
        check_size(job)
    return caught.value.code


# ---- before any key


def test_study_at_the_limit_of_rows_is_let_through_and_one_step_more_is_not(make):
    plan, dictionary = make.plan(), make.dictionary()

    check_size(job_of(plan, dictionary, 400_000, 600_000))

    assert refusal(job_of(plan, dictionary, 400_000, 600_005)) is FailureCode.SIZE_LIMIT_EXCEEDED
    check_size(job_of(plan, dictionary, 400_000, 600_005, number=2))


def test_study_that_reads_too_many_cells_is_refused(make):
    class Wide:
        factors = ()
        interactions = ()

        def columns(self):
            return tuple(f"c{i}" for i in range(129))

    dictionary = make.dictionary()

    assert SMALL.max_cells < 129 * 1_000_000
    assert refusal(job_of(Wide(), dictionary, 1_000_000)) is FailureCode.SIZE_LIMIT_EXCEEDED
    check_size(job_of(Wide(), dictionary, 990_000))


def test_study_whose_design_needs_more_memory_than_the_class_has_is_refused(make):
    """Two splines and their product: 48 columns of a million rows, four times over; cells and rows are within."""
    factors = (FactorSpec(name="a", column="chol", spline=7), FactorSpec(name="b", column="age", spline=7))
    plan = msgspec.structs.replace(make.plan(*factors), interactions=(InteractionSpec(first="a", second="b"),))
    several = [FactorSpec(name=f"s{i}", column="chol", spline=7) for i in range(14)]
    wide = msgspec.structs.replace(plan, factors=(*plan.factors, *several))
    dictionary = make.dictionary()

    assert count_parameters(plan, dictionary) == 6 + 6 + 36
    check_size(job_of(plan, dictionary, 1_000_000))
    assert refusal(job_of(wide, dictionary, 1_000_000)) is FailureCode.SIZE_LIMIT_EXCEEDED
    check_size(job_of(wide, dictionary, 500_000))


def test_parameters_of_each_form_of_a_factor_are_counted(make):
    plan = make.plan(
        FactorSpec(name="age", column="age"),
        FactorSpec(name="male", column="sex", equals="1"),
        FactorSpec(name="cp", column="cp", reference="1"),
        FactorSpec(name="chol", column="chol", spline=3, knots=(150.0, 200.0, 250.0)),
    )

    assert count_parameters(plan, make.dictionary()) == 1 + 1 + 2 + 2


def test_estimate_grows_with_cells_and_parameters():
    assert working_bytes(0, 0, 0) < working_bytes(1000, 5000, 4) < working_bytes(1000, 5000, 5)


def test_every_class_has_room_for_a_study_of_its_rows():
    """Twelve columns and ten parameters at the limit of rows fit every class."""
    for item in SIZE_CLASSES:
        assert 12 * item.max_rows <= item.max_cells
        assert working_bytes(item.max_rows, 12 * item.max_rows, 10) <= item.max_memory_bytes


def oversized(hospital):
    """The hospital's manifest with as many rows as it takes to be over the limit, and consistent otherwise."""
    manifest, parts = hospital.version.manifest, 1
    rows = round_rows(SMALL.max_rows + 10)
    padded = -(-rows // PADDING_ROWS) * PADDING_ROWS
    assert padded <= MAX_PART_ROWS
    dictionary = {column.name: column for column in hospital.dictionary.columns}
    files = tuple(
        msgspec.structs.replace(
            entry,
            padded_rows=padded,
            size=file_bytes(padded, stored_form(dictionary[entry.column]).width_bits),
            digest=sha256_digest(entry.column.encode()),
        )
        for entry in manifest.columns
    )
    assert len({entry.part for entry in files}) == parts
    return msgspec.structs.replace(manifest, columns=files, rows_rounded=rows)


def test_deal_over_the_limit_fails_before_any_hospital_is_asked_for_a_key(new_world, hospitals):
    large = oversized(hospitals[0])
    text = encode_canonical(large)
    grant = dataclasses.replace(hospitals[0].grant(), datasetVersion=bytes32(sha256_digest(text)))
    world = new_world(hospitals[:1], grants=(grant,))
    job = world.documents()
    job["hospitals"][0]["manifest"] = to_hex(text)

    run = world.run(job=job)

    assert run.settlement.kind is Outcome.FAILED
    assert run.settlement.code == FailureCode.SIZE_LIMIT_EXCEEDED
    assert run.asked("challenge") == run.asked("release") == []
    assert run.settlement.leftOut == 1


# ---- time


def tiny(seconds):
    return SizeClass(9, "tiny", 1, 1, 1, seconds)


def wait_for_the_clock(promised, work):
    """Work until the clock stops it, and return the code."""
    clock = RunClock(promised)
    clock.start()
    try:
        while True:
            work()
    except StudyFailedError as exc:
        return exc.code
    finally:
        clock.stop()


def test_study_that_computed_until_the_time_was_over_was_too_large():
    """This process has used more processor time than half of the promised moment already."""
    assert wait_for_the_clock(tiny(0.05), lambda: sum(range(1000))) is FailureCode.SIZE_LIMIT_EXCEEDED


def test_study_whose_host_let_the_time_pass_fails_at_the_hosts_cost():
    promised = SizeClass(9, "tiny", 1, 1, 1, 10**9)

    def host_sends_the_signal_early():
        signal.raise_signal(signal.SIGALRM)

    assert wait_for_the_clock(promised, host_sends_the_signal_early) is FailureCode.HOST_PROTOCOL


@pytest.mark.parametrize(
    ("seconds", "code"), [(0.01, FailureCode.SIZE_LIMIT_EXCEEDED), (10**9, FailureCode.HOST_PROTOCOL)]
)
def test_processor_limit_below_the_promised_one_is_the_hosts_fault(seconds, code):
    assert wait_for_the_clock(tiny(seconds), lambda: signal.raise_signal(signal.SIGXCPU)) is code


def test_stopped_clock_stops_nothing_and_leaves_no_handler():
    before = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGXCPU)
    clock = RunClock(tiny(100))
    clock.start()
    handler = signal.getsignal(signal.SIGALRM)

    clock.stop()
    clock.stop()

    handler(signal.SIGALRM, None)  # one that was on its way
    assert (signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGXCPU)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


# ---- memory, and what the launcher gives


def test_memory_that_the_host_did_not_give_is_its_fault():
    # Nobody limits the address space of a test, so everything promised was given.
    assert code_for_lack_of_memory(SMALL) is FailureCode.SIZE_LIMIT_EXCEEDED


@pytest.mark.parametrize("item", SIZE_CLASSES)
def test_launcher_gives_what_the_class_promises(item):
    limits = EnclaveLimits.for_size_class(item.number)

    assert (limits.memory_bytes, limits.cpu_seconds) == (item.max_memory_bytes, item.max_seconds)
    assert size_class(item.number) is item

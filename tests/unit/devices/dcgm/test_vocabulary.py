from __future__ import annotations

from fractions import Fraction

import pytest

from gpusteward.clock import Moment
from gpusteward.devices.dcgm_readings import Reader
from gpusteward.devices.dcgm_vocabulary import Field, Scope, parse_vocabulary, vocabulary
from gpusteward.errors import CatalogueError
from gpusteward.model import Signal

AT = Moment(1_800_000_000.0, 1_000.0)
MIB = 1024 * 1024

# Written apart from the table: field after DCGM_FI_, a value as shown, the signal, the value in our unit.
SPELLINGS: list[tuple[str, str, Signal, float]] = [
    ("DEV_GPU_UTIL", "57", Signal.GPU_UTILIZATION, 0.57),
    ("DEV_GPU_UTIL_RATIO", "0.57", Signal.GPU_UTILIZATION, 0.57),
    ("DEV_MEM_COPY_UTIL", "7", Signal.MEMORY_COPY_UTILIZATION, 0.07),
    ("DEV_MEMORY_UTIL_RATIO", "0.07", Signal.MEMORY_COPY_UTILIZATION, 0.07),
    ("DEV_ENC_UTIL", "100", Signal.ENCODER_UTILIZATION, 1.0),
    ("DEV_ENC_UTIL_RATIO", "1", Signal.ENCODER_UTILIZATION, 1.0),
    ("DEV_DEC_UTIL", "1", Signal.DECODER_UTILIZATION, 0.01),
    ("DEV_DEC_UTIL_RATIO", "0.01", Signal.DECODER_UTILIZATION, 0.01),
    ("PROF_GR_ENGINE_ACTIVE", "0.156205", Signal.ENGINE_ACTIVE, 0.156205),
    ("PROF_GR_ENGINE_UTIL_RATIO", "0.156205", Signal.ENGINE_ACTIVE, 0.156205),
    ("PROF_SM_ACTIVE", "0.5", Signal.SM_ACTIVE, 0.5),
    ("PROF_SM_UTIL_RATIO", "0.5", Signal.SM_ACTIVE, 0.5),
    ("PROF_SM_OCCUPANCY", "0.25", Signal.SM_OCCUPANCY, 0.25),
    ("PROF_SM_OCCUPANCY_RATIO", "0.25", Signal.SM_OCCUPANCY, 0.25),
    ("PROF_PIPE_TENSOR_ACTIVE", "0.125", Signal.TENSOR_ACTIVE, 0.125),
    ("PROF_TENSOR_UTIL_RATIO", "0.125", Signal.TENSOR_ACTIVE, 0.125),
    ("PROF_DRAM_ACTIVE", "0.75", Signal.DRAM_ACTIVE, 0.75),
    ("PROF_DRAM_UTIL_RATIO", "0.75", Signal.DRAM_ACTIVE, 0.75),
    ("PROF_PIPE_FP64_ACTIVE", "0.1", Signal.FP64_ACTIVE, 0.1),
    ("PROF_FP64_UTIL_RATIO", "0.1", Signal.FP64_ACTIVE, 0.1),
    ("PROF_PIPE_FP32_ACTIVE", "0.2", Signal.FP32_ACTIVE, 0.2),
    ("PROF_FP32_UTIL_RATIO", "0.2", Signal.FP32_ACTIVE, 0.2),
    ("PROF_PIPE_FP16_ACTIVE", "0.3", Signal.FP16_ACTIVE, 0.3),
    ("PROF_FP16_UTIL_RATIO", "0.3", Signal.FP16_ACTIVE, 0.3),
    ("DEV_FB_USED", "5120", Signal.MEMORY_USED, 5120 * MIB),
    ("DEV_FB_USED_BYTES", "5368709120", Signal.MEMORY_USED, 5120 * MIB),
    ("DEV_FB_FREE", "9791", Signal.MEMORY_FREE, 9791 * MIB),
    ("DEV_FB_FREE_BYTES", "1048576", Signal.MEMORY_FREE, MIB),
    ("DEV_FB_RESERVED", "447", Signal.MEMORY_RESERVED, 447 * MIB),
    ("DEV_FB_RESERVED_BYTES", "1048576", Signal.MEMORY_RESERVED, MIB),
    ("DEV_FB_TOTAL", "15360", Signal.MEMORY_TOTAL, 15360 * MIB),
    ("DEV_FB_CAPACITY_BYTES", "16106127360", Signal.MEMORY_TOTAL, 15360 * MIB),
    ("DEV_POWER_USAGE", "68.244000", Signal.POWER, 68.244),
    ("DEV_BOARD_POWER_WATTS", "68.244000", Signal.POWER, 68.244),
    ("DEV_POWER_USAGE_INSTANT", "70.5", Signal.POWER, 70.5),
    ("DEV_BOARD_POWER_RAW_WATTS", "70.5", Signal.POWER, 70.5),
    ("DEV_ENFORCED_POWER_LIMIT", "700", Signal.POWER_LIMIT, 700),
    ("DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS", "700", Signal.POWER_LIMIT, 700),
    ("DEV_POWER_MGMT_LIMIT", "650", Signal.POWER_LIMIT, 650),
    ("DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS", "650", Signal.POWER_LIMIT, 650),
    ("DEV_TOTAL_ENERGY_CONSUMPTION", "4742776", Signal.ENERGY_TOTAL, 4742.776),
    ("DEV_GPU_ENERGY_JOULES_TOTAL", "4742", Signal.ENERGY_TOTAL, 4742),
    ("DEV_GPU_TEMP", "74", Signal.TEMPERATURE, 74),
    ("DEV_GPU_TEMP_CELSIUS", "74", Signal.TEMPERATURE, 74),
    ("DEV_MEMORY_TEMP", "61", Signal.MEMORY_TEMPERATURE, 61),
    ("DEV_MEMORY_TEMP_CELSIUS", "61", Signal.MEMORY_TEMPERATURE, 61),
    ("DEV_SM_CLOCK", "660", Signal.SM_CLOCK, 660e6),
    ("DEV_SM_CLOCK_HERTZ", "660000000", Signal.SM_CLOCK, 660e6),
    ("DEV_MEM_CLOCK", "5000", Signal.MEMORY_CLOCK, 5e9),
    ("DEV_MEMORY_CLOCK_HERTZ", "5000000000", Signal.MEMORY_CLOCK, 5e9),
    ("PROF_PCIE_TX_BYTES", "4791810", Signal.PCIE_TX, 4791810),
    ("PROF_PCIE_RX_BYTES", "6935930", Signal.PCIE_RX, 6935930),
    ("DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", "1e9", Signal.NVLINK, 1e9),
    ("DEV_PCIE_REPLAY_COUNTER", "3", Signal.PCIE_REPLAYS_TOTAL, 3),
    ("DEV_PCIE_REPLAY_TOTAL", "3", Signal.PCIE_REPLAYS_TOTAL, 3),
    ("DEV_CORRECTABLE_REMAPPED_ROWS", "1", Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL, 1),
    ("DEV_ROW_REMAP_CORRECTABLE_TOTAL", "1", Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL, 1),
    ("DEV_UNCORRECTABLE_REMAPPED_ROWS", "2", Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL, 2),
    ("DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", "2", Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL, 2),
    ("DEV_ROW_REMAP_FAILURE", "1", Signal.ROW_REMAP_FAILURE, 1),
    ("DEV_ROW_REMAP_FAILED", "1", Signal.ROW_REMAP_FAILURE, 1),
    ("DEV_ECC_SBE_VOL_TOTAL", "12", Signal.ECC_CORRECTED_TOTAL, 12),
    ("DEV_ECC_SBE_AGG_TOTAL", "13", Signal.ECC_CORRECTED_TOTAL, 13),
    ("DEV_ECC_DBE_VOL_TOTAL", "1", Signal.ECC_UNCORRECTED_TOTAL, 1),
    ("DEV_ECC_DBE_AGG_TOTAL", "2", Signal.ECC_UNCORRECTED_TOTAL, 2),
    ("DEV_XID_ERRORS", "79", Signal.LAST_XID, 79),
    ("DEV_XID_ERROR", "79", Signal.LAST_XID, 79),
    *[(f"PROF_NVDEC{n}_ACTIVE", "0.5", Signal.DECODER_UTILIZATION, 0.5) for n in range(8)],
    *[(f"PROF_NVDEC_UTIL_{n}_RATIO", "0.5", Signal.DECODER_UTILIZATION, 0.5) for n in range(8)],
    *[(f"PROF_NVJPG{n}_ACTIVE", "0.5", Signal.JPEG_UTILIZATION, 0.5) for n in range(8)],
    *[(f"PROF_NVJPG_UTIL_{n}_RATIO", "0.5", Signal.JPEG_UTILIZATION, 0.5) for n in range(8)],
    *[(f"PROF_NVOFA{n}_ACTIVE", "0.5", Signal.OFA_UTILIZATION, 0.5) for n in range(2)],
    *[(f"PROF_NVOFA_UTIL_{n}_RATIO", "0.5", Signal.OFA_UTILIZATION, 0.5) for n in range(2)],
]


@pytest.mark.parametrize(("name", "shown", "signal", "ours"), SPELLINGS, ids=[row[0] for row in SPELLINGS])
def test_each_spelling_is_read_in_our_unit(name: str, shown: str, signal: Signal, ours: float) -> None:
    page = f'DCGM_FI_{name}{{gpu="0",UUID="GPU-1"}} {shown}\n'

    (node,) = Reader("n").read(page, AT).nodes

    assert node.gpus[0].signals == {signal: ours}


def test_every_field_that_is_read_has_its_spelling_tested() -> None:
    tested = {f"DCGM_FI_{name}" for name, *_ in SPELLINGS}
    assert tested == {known.name for known in vocabulary().values() if known.signal is not None}


def test_a_field_that_is_left_unread_says_why_and_gives_nothing() -> None:
    unread = [known for known in vocabulary().values() if known.signal is None]
    assert {known.name for known in unread} >= {"DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"}
    for known in unread:
        assert known.note
        (node,) = Reader("n").read(f'{known.name}{{UUID="GPU-1"}} 5\n', AT).nodes
        assert node.gpus[0].signals == {}


def test_counters_of_4_9_are_named_so() -> None:
    for known in vocabulary().values():
        if known.vocabulary == "4.9" and known.signal is not None:
            assert (known.kind == "counter") == known.name.endswith("_TOTAL"), known.name


def test_sm_activity_of_a_mig_instance_above_one_is_cut_and_just_below_is_not() -> None:
    sm_active = vocabulary()["DCGM_FI_PROF_SM_ACTIVE"]
    assert (sm_active.convert(1.9), sm_active.convert(0.999)) == (1.0, 0.999)
    assert not vocabulary()["DCGM_FI_PROF_GR_ENGINE_ACTIVE"].clamp


HEADER = "field,vocabulary,signal,factor,scope,kind,rule,preference,source,note"


def test_comments_and_blank_lines_are_no_rows() -> None:
    text = f"# about\n{HEADER}\n\nDCGM_FI_X,4.8,POWER,1/1000,leaf,counter,clamp,2,here,\n"
    assert parse_vocabulary(text) == {
        "DCGM_FI_X": Field(
            name="DCGM_FI_X",
            vocabulary="4.8",
            signal=Signal.POWER,
            factor=Fraction(1, 1000),
            scope=Scope.LEAF,
            kind="counter",
            clamp=True,
            preference=2,
            source="here",
        )
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "field,signal\nA,B\n"])
def test_a_table_without_its_columns_is_refused(text: str) -> None:
    with pytest.raises(CatalogueError, match="the first row must be the column names"):
        parse_vocabulary(text)


def test_every_bad_row_is_told_at_once_with_its_line() -> None:
    good = "A,4.8,POWER,1,board,gauge,,1,s,"
    bad = [
        ("A,4.8,POWER,1,board,gauge,,1,s,", "A is there twice"),
        ("B,4.7,POWER,1,board,gauge,,1,s,", "'4.7' is not one of '4.8', '4.9', 'all'"),
        ("C,4.8,WATTS,1,board,gauge,,1,s,", "'WATTS' is not one of 'GPU_UTILIZATION'"),
        ("D,4.8,POWER,-1,board,gauge,,1,s,", "factor -1 is not positive"),
        ("E,4.8,POWER,one,board,gauge,,1,s,", "Invalid literal for Fraction: 'one'"),
        ("F,4.8,POWER,1,room,gauge,,1,s,", "'room' is not a valid Scope"),
        ("G,4.8,POWER,1,board,histogram,,1,s,", "'histogram' is not one of 'gauge', 'counter'"),
        ("H,4.8,POWER,1,board,gauge,round,1,s,", "'round' is not one of '', 'clamp', 'zero_absent'"),
        ("I,4.8,POWER,1,board,gauge,,first,s,", "invalid literal for int"),
        ("J,4.8,,,,,,,s,", "J is left unread without a reason"),
        ("K,4.8,POWER", "3 columns, not 10"),
    ]
    with pytest.raises(CatalogueError) as caught:
        parse_vocabulary("\n".join(["# one comment", HEADER, good, *[row for row, _ in bad]]))

    problems = caught.value.problems
    assert [problem.path for problem in problems] == [f"dcgm_vocabulary.csv:{n}" for n in range(4, 15)]
    for problem, (_, message) in zip(problems, bad, strict=True):
        assert problem.message.startswith(message)

"""The kinds of work that are handed out: the last part of ``work.<type>``."""

from enum import StrEnum


class WorkType(StrEnum):
    JOB_PROCESS = "job.process"
    JOB_RENDER = "job.render"
    ITEM_ANALYSE = "item.analyse"
    PUBLISH = "publish"
    INSTRUCTION_REGENERATE = "instruction.regenerate"
    SCREENSHOT_EXTRACT = "screenshot.extract"

"""One process that runs one program under one variant, once for each line on its standard input.

It writes one JSON object a line: first {"ready": true} or {"unsupported": reason}, then for each run
{"seconds": CPU time of the thread, "steps": instructions reported in the run, or null}, and in the end {"facts": what else the variant knows, or null}.
"""

import gc
import json
import operator
import os
import sys
import time

import programs
import variants


def main(program, number):
    """Run `program` under the variant of that number until standard input ends."""
    # What a program or a tracer prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        variant = variants.VARIANTS[int(number)].make()
    except (variants.UnsupportedError, ImportError, AttributeError) as error:
        print(json.dumps({"unsupported": str(error)}), file=answers, flush=True)
        return
    module, code = programs.load(program, variant.probe)
    run = programs.PROGRAMS[program](module)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(variant, code, run)), file=answers, flush=True)
    print(json.dumps({"facts": variant.facts()}), file=answers, flush=True)


def measure(variant, code, run):
    """One run."""
    gc.collect()
    before = variant.steps()
    variant.arm(code)
    try:
        variant.settle(run)
        # CPU time of the thread: the wall clock would count what else runs on the machine.
        began = time.thread_time()
        # A function of C: `counted.py` counts in it only.
        operator.call(run)
        seconds = time.thread_time() - began
    finally:
        variant.disarm()
    after = variant.steps()
    return {"seconds": seconds, "steps": None if after is None else after - before}


if __name__ == "__main__":
    main(*sys.argv[1:])

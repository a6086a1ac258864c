"""One process that runs one program under one variant, once for each line on its standard input.

It writes one JSON object a line: first {"ready": true} or {"unsupported": reason}, then for each run
{"seconds": CPU time of the thread, "steps": instructions reported in the run or null}.
"""

import gc
import json
import sys
import time

import programs
import variants


def main(name, variant_name):
    """Answer every line until standard input ends."""
    try:
        variant = variants.VARIANTS[variant_name]()
    except (variants.Unsupported, ImportError) as error:
        print(json.dumps({"unsupported": str(error)}), flush=True)
        return
    variant.module = "bm_" + name
    module, code = programs.load(name, variant.probe)
    run = programs.PROGRAMS[name](module)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(variant, code, run)), flush=True)


def measure(variant, code, run):
    """One run of the program."""
    gc.collect()
    before = variant.steps()
    variant.arm(code)
    try:
        # CPU time of the thread: on a shared machine the wall clock counts the neighbours' work as ours.
        began = time.thread_time()
        run()
        seconds = time.thread_time() - began
    finally:
        variant.disarm()
    after = variant.steps()
    return {"seconds": seconds, "steps": None if after is None else after - before}


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Which files of CPython's own tests are recorded and compared with what they did, slot by slot: data."""

# None takes more than a few million steps. Those that a version does not have are left out there.
FILES = """
    test_abc test_abstract_numbers test_asyncgen test_atexit test_augassign test_base64 test_baseexception test_binop
    test_bisect test_bool test_charmapcodec test_class test_codeop test_colorsys test_compare test_contains test_context
    test_contextlib test_copy test_copyreg test_coroutines test_crashers test_csv test_decorators test_defaultdict test_descrtut
    test_dict test_dictcomps test_dictviews test_dynamicclassattribute test_enumerate test_errno test_except_star
    test_exception_group test_exception_hierarchy test_exception_variations test_exceptions test_extcall test_filecmp
    test_fileinput test_finalization test_flufl test_fnmatch test_format test_fractions test_frame test_frozen test_funcattrs
    test_gc test_generator_stop test_generators test_genericalias test_genericclass test_genericpath test_genexps test_getopt
    test_gettext test_global test_grammar test_graphlib test_hash test_hmac test_html test_index test_int_literal
    test_isinstance test_iter test_keyword test_keywordonlyarg test_linecache test_list test_listcomps test_longexp
    test_memoryview test_metaclass test_module test_named_expressions test_netrc test_ntpath test_opcodes test_operator
    test_optparse test_ordered_dict test_patma test_pkg test_pkgutil test_positional_only_arg test_posixpath test_pprint
    test_property test_pyclbr test_queue test_quopri test_raise test_range test_reprlib test_richcmp test_rlcompleter test_sched
    test_scope test_secrets test_setcomps test_shlex test_slice test_string test_string_literals test_stringprep test_structseq
    test_subclassinit test_sundry test_super test_textwrap test_thread test_threading_local test_timeit test_tuple
    test_type_annotations test_type_comments test_type_aliases test_typechecks test_types test_unary test_univnewlines
    test_unpack test_unpack_ex test_urlparse test_userdict test_userlist test_weakset test_with test_yield_from test_zipapp
    test.test_asyncio.test_context test.test_asyncio.test_futures test.test_asyncio.test_futures2
    test.test_asyncio.test_locks test.test_asyncio.test_pep492 test.test_asyncio.test_queues test.test_asyncio.test_runners
    test.test_asyncio.test_taskgroups test.test_asyncio.test_timeouts test.test_asyncio.test_waitfor
""".split()

# Files in which something differs, and why.
REASONS = {
    "test_frame": (
        "has more objects at a time (150000 nested frames) than the recorder tells apart, 2^19: what has not been looked at for longest gets a new id, "
        "and what it is compared with looks at more"
    ),
    "test_exceptions": (
        "has more objects at a time (500000 nested tuples, 3.15) than the recorder tells apart, 2^19: as in `test_frame`; how many differ "
        "varies, and more often than not none does"
    ),
    "test_dict": (
        "takes the allocators away (`_testcapi.set_nomemory`, 3.15): nobody tells of objects that die meanwhile, so whoever looks gives each object a "
        "new id, and the recording looks at fewer places than what it is compared with"
    ),
}


def reason(test):
    """Why a recording of `test` is not exact; None if it should be."""
    return REASONS.get(test)

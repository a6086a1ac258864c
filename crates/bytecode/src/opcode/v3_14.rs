// Written by `cargo xtask opcodes` from CPython 3.14.10; not to be edited.

//! The instruction set of CPython 3.14.

crate::opcode::table::table! {
    opcodes {
        1   BinarySlice                    0 None               None     Next       : -2, -2;
        2   BuildTemplate                  0 None               None     Next       : -1, -1;
        4   CallFunctionEx                 0 None               None     Next       : -3, -3;
        5   CheckEgMatch                   0 None               None     Next       : 0, 0;
        6   CheckExcMatch                  0 None               None     Next       : 0, 0;
        7   CleanupThrow                   0 None               None     Next       : -1, -1;
        8   DeleteSubscr                   0 None               None     Next       : -2, -2;
        9   EndFor                         0 None               None     Next       : -1, -1;
        10  EndSend                        0 None               None     Next       : -1, -1;
        11  ExitInitCheck                  0 None               None     Next       : -1, -1;
        12  FormatSimple                   0 None               None     Next       : 0, 0;
        13  FormatWithSpec                 0 None               None     Next       : -1, -1;
        14  GetAiter                       0 None               None     Next       : 0, 0;
        15  GetAnext                       0 None               None     Next       : 1, 1;
        16  GetIter                        0 None               None     Next       : 0, 0;
        18  GetLen                         0 None               None     Next       : 1, 1;
        19  GetYieldFromIter               0 None               None     Next       : 0, 0;
        20  InterpreterExit                0 None               None     Return     : -1, -1;
        21  LoadBuildClass                 0 None               None     Next       : 1, 1;
        22  LoadLocals                     0 None               None     Next       : 1, 1;
        23  MakeFunction                   0 None               None     Next       : 0, 0;
        24  MatchKeys                      0 None               None     Next       : 1, 1;
        25  MatchMapping                   0 None               None     Next       : 1, 1;
        26  MatchSequence                  0 None               None     Next       : 1, 1;
        27  Nop                            0 None               None     Next       : 0, 0;
        28  NotTaken                       0 None               None     Next       : 0, 0;
        29  PopExcept                      0 None               None     Next       : -1, -1;
        30  PopIter                        0 None               None     Next       : -1, -1;
        31  PopTop                         0 None               None     Next       : -1, -1;
        32  PushExcInfo                    0 None               None     Next       : 1, 1;
        33  PushNull                       0 None               None     Next       : 1, 1;
        34  ReturnGenerator                0 None               None     Yield      : 1, 1;
        35  ReturnValue                    0 None               None     Return     : 0, 0;
        36  SetupAnnotations               0 None               None     Next       : 0, 0;
        37  StoreSlice                     0 None               None     Next       : -4, -4;
        38  StoreSubscr                    1 None               None     Next       : -3, -3;
        39  ToBool                         3 None               None     Next       : 0, 0;
        40  UnaryInvert                    0 None               None     Next       : 0, 0;
        41  UnaryNegative                  0 None               None     Next       : 0, 0;
        42  UnaryNot                       0 None               None     Next       : 0, 0;
        43  WithExceptStart                0 None               None     Next       : 1, 1;
        44  BinaryOp                       5 BinaryOp           None     Next       : -1, -1;
        45  BuildInterpolation             0 Int                None     Next       : -1 [0 0x1 * -1], -1 [0 0x1 * -1];
        46  BuildList                      0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        47  BuildMap                       0 Int                None     Next       : 1 [0 0xffffffff * -2], 1 [0 0xffffffff * -2];
        48  BuildSet                       0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        49  BuildSlice                     0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        50  BuildString                    0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        51  BuildTuple                     0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        52  Call                           3 Int                None     Next       : -1 [0 0xffffffff * -1], -1 [0 0xffffffff * -1];
        53  CallIntrinsic1                 0 Intrinsic1         None     Next       : 0, 0;
        54  CallIntrinsic2                 0 Intrinsic2         None     Next       : -1, -1;
        55  CallKw                         3 Int                None     Next       : -2 [0 0xffffffff * -1], -2 [0 0xffffffff * -1];
        56  CompareOp                      1 Compare            None     Next       : -1, -1;
        57  ContainsOp                     1 Contains           None     Next       : -1, -1;
        58  ConvertValue                   0 ConvertValue       None     Next       : 0, 0;
        59  Copy                           0 Int                None     Next       : 1, 1;
        60  CopyFreeVars                   0 Int                None     Next       : 0, 0;
        61  DeleteAttr                     0 Name               None     Next       : -1, -1;
        62  DeleteDeref                    0 Free               None     Next       : 0, 0;
        63  DeleteFast                     0 Local              None     Next       : 0, 0;
        64  DeleteGlobal                   0 Name               None     Next       : 0, 0;
        65  DeleteName                     0 Name               None     Next       : 0, 0;
        66  DictMerge                      0 Int                None     Next       : -1, -1;
        67  DictUpdate                     0 Int                None     Next       : -1, -1;
        68  EndAsyncFor                    0 JumpOrigin         None     Next       : -2, -2;
        69  ExtendedArg                    0 Extended           None     Next       : 0, 0;
        70  ForIter                        1 Jump               Forward  Conditional: 1, 1;
        71  GetAwaitable                   0 Int                None     Next       : 0, 0;
        72  ImportFrom                     0 Name               None     Next       : 1, 1;
        73  ImportName                     0 Name               None     Next       : -1, -1;
        74  IsOp                           0 Is                 None     Next       : -1, -1;
        75  JumpBackward                   1 Jump               Backward Jump       : 0, 0;
        76  JumpBackwardNoInterrupt        0 Jump               Backward Jump       : 0, 0;
        77  JumpForward                    0 Jump               Forward  Jump       : 0, 0;
        78  ListAppend                     0 Int                None     Next       : -1, -1;
        79  ListExtend                     0 Int                None     Next       : -1, -1;
        80  LoadAttr                       9 NameMethod         None     Next       : 0 [0 0x1 * 1], 0 [0 0x1 * 1];
        81  LoadCommonConstant             0 CommonConstant     None     Next       : 1, 1;
        82  LoadConst                      0 Const              None     Next       : 1, 1;
        83  LoadDeref                      0 Free               None     Next       : 1, 1;
        84  LoadFast                       0 Local              None     Next       : 1, 1;
        85  LoadFastAndClear               0 Local              None     Next       : 1, 1;
        86  LoadFastBorrow                 0 Local              None     Next       : 1, 1;
        87  LoadFastBorrowLoadFastBorrow   0 LocalPair          None     Next       : 2, 2;
        88  LoadFastCheck                  0 Local              None     Next       : 1, 1;
        89  LoadFastLoadFast               0 LocalPair          None     Next       : 2, 2;
        90  LoadFromDictOrDeref            0 Free               None     Next       : 0, 0;
        91  LoadFromDictOrGlobals          0 Name               None     Next       : 0, 0;
        92  LoadGlobal                     4 NameNull           None     Next       : 1 [0 0x1 * 1], 1 [0 0x1 * 1];
        93  LoadName                       0 Name               None     Next       : 1, 1;
        94  LoadSmallInt                   0 SmallInt           None     Next       : 1, 1;
        95  LoadSpecial                    0 SpecialMethod      None     Next       : 1, 1;
        96  LoadSuperAttr                  1 NameSuper          None     Next       : -2 [0 0x1 * 1], -2 [0 0x1 * 1];
        97  MakeCell                       0 Free               None     Next       : 0, 0;
        98  MapAdd                         0 Int                None     Next       : -2, -2;
        99  MatchClass                     0 Int                None     Next       : -2, -2;
        100 PopJumpIfFalse                 1 Jump               Forward  Conditional: -1, -1;
        101 PopJumpIfNone                  1 Jump               Forward  Conditional: -1, -1;
        102 PopJumpIfNotNone               1 Jump               Forward  Conditional: -1, -1;
        103 PopJumpIfTrue                  1 Jump               Forward  Conditional: -1, -1;
        104 RaiseVarargs                   0 Int                None     Raise      : 0 [0 0xffffffff * -1], 0 [0 0xffffffff * -1];
        105 Reraise                        0 Int                None     Raise      : -1, -1;
        106 Send                           1 Jump               Forward  Conditional: 0, 0;
        107 SetAdd                         0 Int                None     Next       : -1, -1;
        108 SetFunctionAttribute           0 FunctionAttributes None     Next       : -1, -1;
        109 SetUpdate                      0 Int                None     Next       : -1, -1;
        110 StoreAttr                      4 Name               None     Next       : -2, -2;
        111 StoreDeref                     0 Free               None     Next       : -1, -1;
        112 StoreFast                      0 Local              None     Next       : -1, -1;
        113 StoreFastLoadFast              0 LocalPair          None     Next       : 0, 0;
        114 StoreFastStoreFast             0 LocalPair          None     Next       : -2, -2;
        115 StoreGlobal                    0 Name               None     Next       : -1, -1;
        116 StoreName                      0 Name               None     Next       : -1, -1;
        117 Swap                           0 Int                None     Next       : 0, 0;
        118 UnpackEx                       0 Int                None     Next       : 0 [0 0xff * 1] [8 0xffffffff * 1], 0 [0 0xff * 1] [8 0xffffffff * 1];
        119 UnpackSequence                 1 Int                None     Next       : -1 [0 0xffffffff * 1], -1 [0 0xffffffff * 1];
        120 YieldValue                     0 Int                None     Yield      : 0, 0;
        128 Resume                         0 Int                None     Next       : 0, 0;
    }
    binary_ops {
        "+",
        "&",
        "//",
        "<<",
        "@",
        "*",
        "%",
        "|",
        "**",
        ">>",
        "-",
        "/",
        "^",
        "+=",
        "&=",
        "//=",
        "<<=",
        "@=",
        "*=",
        "%=",
        "|=",
        "**=",
        ">>=",
        "-=",
        "/=",
        "^=",
        "[]",
    }
    intrinsics_1 {
        "INTRINSIC_1_INVALID",
        "INTRINSIC_PRINT",
        "INTRINSIC_IMPORT_STAR",
        "INTRINSIC_STOPITERATION_ERROR",
        "INTRINSIC_ASYNC_GEN_WRAP",
        "INTRINSIC_UNARY_POSITIVE",
        "INTRINSIC_LIST_TO_TUPLE",
        "INTRINSIC_TYPEVAR",
        "INTRINSIC_PARAMSPEC",
        "INTRINSIC_TYPEVARTUPLE",
        "INTRINSIC_SUBSCRIPT_GENERIC",
        "INTRINSIC_TYPEALIAS",
    }
    intrinsics_2 {
        "INTRINSIC_2_INVALID",
        "INTRINSIC_PREP_RERAISE_STAR",
        "INTRINSIC_TYPEVAR_WITH_BOUND",
        "INTRINSIC_TYPEVAR_WITH_CONSTRAINTS",
        "INTRINSIC_SET_FUNCTION_TYPE_PARAMS",
        "INTRINSIC_SET_TYPEPARAM_DEFAULT",
    }
    special_methods {
        "__enter__",
        "__exit__",
        "__aenter__",
        "__aexit__",
    }
    common_constants {
        "AssertionError",
        "NotImplementedError",
        "tuple",
        "<built-in function all>",
        "<built-in function any>",
    }
}

// Written by `cargo xtask opcodes` from CPython 3.15.2; not to be edited.

//! The instruction set of CPython 3.15.

crate::opcode::table::table! {
    opcodes {
        1   BinarySlice                    0 None               None     Next       : -2, -2;
        2   BuildTemplate                  0 None               None     Next       : -1, -1;
        4   CallFunctionEx                 1 None               None     Next       : -3, -3;
        5   CheckEgMatch                   0 None               None     Next       : 0, 0;
        6   CheckExcMatch                  0 None               None     Next       : 0, 0;
        7   CleanupThrow                   0 None               None     Next       : -1, -1;
        8   DeleteSubscr                   0 None               None     Next       : -2, -2;
        9   EndFor                         0 None               None     Next       : -1, -1;
        10  EndSend                        0 None               None     Next       : -2, -2;
        11  ExitInitCheck                  0 None               None     Next       : -1, -1;
        12  FormatSimple                   0 None               None     Next       : 0, 0;
        13  FormatWithSpec                 0 None               None     Next       : -1, -1;
        14  GetAiter                       0 None               None     Next       : 0, 0;
        15  GetAnext                       0 None               None     Next       : 1, 1;
        16  GetLen                         0 None               None     Next       : 1, 1;
        18  InterpreterExit                0 None               None     Return     : -1, -1;
        19  LoadBuildClass                 0 None               None     Next       : 1, 1;
        20  LoadLocals                     0 None               None     Next       : 1, 1;
        21  MakeFunction                   0 None               None     Next       : 0, 0;
        22  MatchKeys                      0 None               None     Next       : 1, 1;
        23  MatchMapping                   0 None               None     Next       : 1, 1;
        24  MatchSequence                  0 None               None     Next       : 1, 1;
        25  Nop                            0 None               None     Next       : 0, 0;
        26  NotTaken                       0 None               None     Next       : 0, 0;
        27  PopExcept                      0 None               None     Next       : -1, -1;
        28  PopIter                        0 None               None     Next       : -2, -2;
        29  PopTop                         0 None               None     Next       : -1, -1;
        30  PushExcInfo                    0 None               None     Next       : 1, 1;
        31  PushNull                       0 None               None     Next       : 1, 1;
        32  ReturnGenerator                0 None               None     Yield      : 1, 1;
        33  ReturnValue                    0 None               None     Return     : 0, 0;
        34  SetupAnnotations               0 None               None     Next       : 0, 0;
        35  StoreSlice                     0 None               None     Next       : -4, -4;
        36  StoreSubscr                    1 None               None     Next       : -3, -3;
        37  ToBool                         3 None               None     Next       : 0, 0;
        38  UnaryInvert                    0 None               None     Next       : 0, 0;
        39  UnaryNegative                  0 None               None     Next       : 0, 0;
        40  UnaryNot                       0 None               None     Next       : 0, 0;
        41  WithExceptStart                0 None               None     Next       : 1, 1;
        42  BinaryOp                       5 BinaryOp           None     Next       : -1, -1;
        43  BuildInterpolation             0 Int                None     Next       : -1 [0 0x1 * -1], -1 [0 0x1 * -1];
        44  BuildList                      0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        45  BuildMap                       0 Int                None     Next       : 1 [0 0xffffffff * -2], 1 [0 0xffffffff * -2];
        46  BuildSet                       0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        47  BuildSlice                     0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        48  BuildString                    0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        49  BuildTuple                     0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        50  Call                           3 Int                None     Next       : -1 [0 0xffffffff * -1], -1 [0 0xffffffff * -1];
        51  CallIntrinsic1                 0 Intrinsic1         None     Next       : 0, 0;
        52  CallIntrinsic2                 0 Intrinsic2         None     Next       : -1, -1;
        53  CallKw                         3 Int                None     Next       : -2 [0 0xffffffff * -1], -2 [0 0xffffffff * -1];
        54  CompareOp                      1 Compare            None     Next       : -1, -1;
        55  ContainsOp                     1 Contains           None     Next       : -1, -1;
        56  ConvertValue                   0 ConvertValue       None     Next       : 0, 0;
        57  Copy                           0 Int                None     Next       : 1, 1;
        58  CopyFreeVars                   0 Int                None     Next       : 0, 0;
        59  DeleteAttr                     0 Name               None     Next       : -1, -1;
        60  DeleteDeref                    0 Free               None     Next       : 0, 0;
        61  DeleteFast                     0 Local              None     Next       : 0, 0;
        62  DeleteGlobal                   0 Name               None     Next       : 0, 0;
        63  DeleteName                     0 Name               None     Next       : 0, 0;
        64  DictMerge                      0 Int                None     Next       : -1, -1;
        65  DictUpdate                     0 Int                None     Next       : -1, -1;
        66  EndAsyncFor                    0 JumpOrigin         None     Next       : -2, -2;
        67  ExtendedArg                    0 Extended           None     Next       : 0, 0;
        68  ForIter                        1 Jump               Forward  Conditional: 1, 1;
        69  GetAwaitable                   0 Int                None     Next       : 0, 0;
        70  GetIter                        1 Int                None     Next       : 1, 1;
        71  ImportFrom                     0 Name               None     Next       : 1, 1;
        72  ImportName                     0 NameImport         None     Next       : -1, -1;
        73  IsOp                           0 Is                 None     Next       : -1, -1;
        74  JumpBackward                   1 Jump               Backward Jump       : 0, 0;
        75  JumpBackwardNoInterrupt        0 Jump               Backward Jump       : 0, 0;
        76  JumpForward                    0 Jump               Forward  Jump       : 0, 0;
        77  ListAppend                     0 Int                None     Next       : -1, -1;
        78  ListExtend                     0 Int                None     Next       : -1, -1;
        79  LoadAttr                       9 NameMethod         None     Next       : 0 [0 0x1 * 1], 0 [0 0x1 * 1];
        80  LoadCommonConstant             0 CommonConstant     None     Next       : 1, 1;
        81  LoadConst                      0 Const              None     Next       : 1, 1;
        82  LoadDeref                      0 Free               None     Next       : 1, 1;
        83  LoadFast                       0 Local              None     Next       : 1, 1;
        84  LoadFastAndClear               0 Local              None     Next       : 1, 1;
        85  LoadFastBorrow                 0 Local              None     Next       : 1, 1;
        86  LoadFastBorrowLoadFastBorrow   0 LocalPair          None     Next       : 2, 2;
        87  LoadFastCheck                  0 Local              None     Next       : 1, 1;
        88  LoadFastLoadFast               0 LocalPair          None     Next       : 2, 2;
        89  LoadFromDictOrDeref            0 Free               None     Next       : 0, 0;
        90  LoadFromDictOrGlobals          0 Name               None     Next       : 0, 0;
        91  LoadGlobal                     4 NameNull           None     Next       : 1 [0 0x1 * 1], 1 [0 0x1 * 1];
        92  LoadName                       0 Name               None     Next       : 1, 1;
        93  LoadSmallInt                   0 SmallInt           None     Next       : 1, 1;
        94  LoadSpecial                    0 SpecialMethod      None     Next       : 1, 1;
        95  LoadSuperAttr                  1 NameSuper          None     Next       : -2 [0 0x1 * 1], -2 [0 0x1 * 1];
        96  MakeCell                       0 Free               None     Next       : 0, 0;
        97  MapAdd                         0 Int                None     Next       : -2, -2;
        98  MatchClass                     0 Int                None     Next       : -2, -2;
        99  PopJumpIfFalse                 1 Jump               Forward  Conditional: -1, -1;
        100 PopJumpIfNone                  1 Jump               Forward  Conditional: -1, -1;
        101 PopJumpIfNotNone               1 Jump               Forward  Conditional: -1, -1;
        102 PopJumpIfTrue                  1 Jump               Forward  Conditional: -1, -1;
        103 RaiseVarargs                   0 Int                None     Raise      : 0 [0 0xffffffff * -1], 0 [0 0xffffffff * -1];
        104 Reraise                        0 Int                None     Raise      : -1, -1;
        105 Send                           1 Jump               Forward  Conditional: 0, 0;
        106 SetAdd                         0 Int                None     Next       : -1, -1;
        107 SetFunctionAttribute           0 FunctionAttributes None     Next       : -1, -1;
        108 SetUpdate                      0 Int                None     Next       : -1, -1;
        109 StoreAttr                      4 Name               None     Next       : -2, -2;
        110 StoreDeref                     0 Free               None     Next       : -1, -1;
        111 StoreFast                      0 Local              None     Next       : -1, -1;
        112 StoreFastLoadFast              0 LocalPair          None     Next       : 0, 0;
        113 StoreFastStoreFast             0 LocalPair          None     Next       : -2, -2;
        114 StoreGlobal                    0 Name               None     Next       : -1, -1;
        115 StoreName                      0 Name               None     Next       : -1, -1;
        116 Swap                           0 Int                None     Next       : 0, 0;
        117 UnpackEx                       0 Int                None     Next       : 0 [0 0xff * 1] [8 0xffffffff * 1], 0 [0 0xff * 1] [8 0xffffffff * 1];
        118 UnpackSequence                 1 Int                None     Next       : -1 [0 0xffffffff * 1], -1 [0 0xffffffff * 1];
        119 YieldValue                     0 Int                None     Yield      : 0, 0;
        128 Resume                         1 Int                None     Next       : 0, 0;
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
        "list",
        "set",
        "None",
        "''",
        "True",
        "False",
        "-1",
    }
}

// Written by `cargo xtask opcodes` from CPython 3.13.0; not to be edited.

//! The instruction set of CPython 3.13.

crate::opcode::table::table! {
    opcodes {
        1   BeforeAsyncWith                0 None               None     Next       : 1, 1;
        2   BeforeWith                     0 None               None     Next       : 1, 1;
        4   BinarySlice                    0 None               None     Next       : -2, -2;
        5   BinarySubscr                   1 None               None     Next       : -1, -1;
        6   CheckEgMatch                   0 None               None     Next       : 0, 0;
        7   CheckExcMatch                  0 None               None     Next       : 0, 0;
        8   CleanupThrow                   0 None               None     Next       : -1, -1;
        9   DeleteSubscr                   0 None               None     Next       : -2, -2;
        10  EndAsyncFor                    0 None               None     Next       : -2, -2;
        11  EndFor                         0 None               None     Next       : -1, -1;
        12  EndSend                        0 None               None     Next       : -1, -1;
        13  ExitInitCheck                  0 None               None     Next       : -1, -1;
        14  FormatSimple                   0 None               None     Next       : 0, 0;
        15  FormatWithSpec                 0 None               None     Next       : -1, -1;
        16  GetAiter                       0 None               None     Next       : 0, 0;
        18  GetAnext                       0 None               None     Next       : 1, 1;
        19  GetIter                        0 None               None     Next       : 0, 0;
        20  GetLen                         0 None               None     Next       : 1, 1;
        21  GetYieldFromIter               0 None               None     Next       : 0, 0;
        22  InterpreterExit                0 None               None     Return     : -1, -1;
        23  LoadAssertionError             0 None               None     Next       : 1, 1;
        24  LoadBuildClass                 0 None               None     Next       : 1, 1;
        25  LoadLocals                     0 None               None     Next       : 1, 1;
        26  MakeFunction                   0 None               None     Next       : 0, 0;
        27  MatchKeys                      0 None               None     Next       : 1, 1;
        28  MatchMapping                   0 None               None     Next       : 1, 1;
        29  MatchSequence                  0 None               None     Next       : 1, 1;
        30  Nop                            0 None               None     Next       : 0, 0;
        31  PopExcept                      0 None               None     Next       : -1, -1;
        32  PopTop                         0 None               None     Next       : -1, -1;
        33  PushExcInfo                    0 None               None     Next       : 1, 1;
        34  PushNull                       0 None               None     Next       : 1, 1;
        35  ReturnGenerator                0 None               None     Yield      : 1, 1;
        36  ReturnValue                    0 None               None     Return     : -1, -1;
        37  SetupAnnotations               0 None               None     Next       : 0, 0;
        38  StoreSlice                     0 None               None     Next       : -4, -4;
        39  StoreSubscr                    1 None               None     Next       : -3, -3;
        40  ToBool                         3 None               None     Next       : 0, 0;
        41  UnaryInvert                    0 None               None     Next       : 0, 0;
        42  UnaryNegative                  0 None               None     Next       : 0, 0;
        43  UnaryNot                       0 None               None     Next       : 0, 0;
        44  WithExceptStart                0 None               None     Next       : 1, 1;
        45  BinaryOp                       1 BinaryOp           None     Next       : -1, -1;
        46  BuildConstKeyMap               0 Int                None     Next       : 0 [0 0xffffffff * -1], 0 [0 0xffffffff * -1];
        47  BuildList                      0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        48  BuildMap                       0 Int                None     Next       : 1 [0 0xffffffff * -2], 1 [0 0xffffffff * -2];
        49  BuildSet                       0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        50  BuildSlice                     0 Int                None     Next       : -1 [== 3 * -1], -1 [== 3 * -1];
        51  BuildString                    0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        52  BuildTuple                     0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        53  Call                           3 Int                None     Next       : -1 [0 0xffffffff * -1], -1 [0 0xffffffff * -1];
        54  CallFunctionEx                 0 Int                None     Next       : -2 [0 0x1 * -1], -2 [0 0x1 * -1];
        55  CallIntrinsic1                 0 Intrinsic1         None     Next       : 0, 0;
        56  CallIntrinsic2                 0 Intrinsic2         None     Next       : -1, -1;
        57  CallKw                         0 Int                None     Next       : -2 [0 0xffffffff * -1], -2 [0 0xffffffff * -1];
        58  CompareOp                      1 Compare            None     Next       : -1, -1;
        59  ContainsOp                     1 Contains           None     Next       : -1, -1;
        60  ConvertValue                   0 ConvertValue       None     Next       : 0, 0;
        61  Copy                           0 Int                None     Next       : 1, 1;
        62  CopyFreeVars                   0 Int                None     Next       : 0, 0;
        63  DeleteAttr                     0 Name               None     Next       : -1, -1;
        64  DeleteDeref                    0 Free               None     Next       : 0, 0;
        65  DeleteFast                     0 Local              None     Next       : 0, 0;
        66  DeleteGlobal                   0 Name               None     Next       : 0, 0;
        67  DeleteName                     0 Name               None     Next       : 0, 0;
        68  DictMerge                      0 Int                None     Next       : -1, -1;
        69  DictUpdate                     0 Int                None     Next       : -1, -1;
        71  ExtendedArg                    0 Extended           None     Next       : 0, 0;
        72  ForIter                        1 Jump               Forward  Conditional: 1, 1;
        73  GetAwaitable                   0 Int                None     Next       : 0, 0;
        74  ImportFrom                     0 Name               None     Next       : 1, 1;
        75  ImportName                     0 Name               None     Next       : -1, -1;
        76  IsOp                           0 Is                 None     Next       : -1, -1;
        77  JumpBackward                   1 Jump               Backward Jump       : 0, 0;
        78  JumpBackwardNoInterrupt        0 Jump               Backward Jump       : 0, 0;
        79  JumpForward                    0 Jump               Forward  Jump       : 0, 0;
        80  ListAppend                     0 Int                None     Next       : -1, -1;
        81  ListExtend                     0 Int                None     Next       : -1, -1;
        82  LoadAttr                       9 NameMethod         None     Next       : 0 [0 0x1 * 1], 0 [0 0x1 * 1];
        83  LoadConst                      0 Const              None     Next       : 1, 1;
        84  LoadDeref                      0 Free               None     Next       : 1, 1;
        85  LoadFast                       0 Local              None     Next       : 1, 1;
        86  LoadFastAndClear               0 Local              None     Next       : 1, 1;
        87  LoadFastCheck                  0 Local              None     Next       : 1, 1;
        88  LoadFastLoadFast               0 LocalPair          None     Next       : 2, 2;
        89  LoadFromDictOrDeref            0 Free               None     Next       : 0, 0;
        90  LoadFromDictOrGlobals          0 Name               None     Next       : 0, 0;
        91  LoadGlobal                     4 NameNull           None     Next       : 1 [0 0x1 * 1], 1 [0 0x1 * 1];
        92  LoadName                       0 Name               None     Next       : 1, 1;
        93  LoadSuperAttr                  1 NameSuper          None     Next       : -2 [0 0x1 * 1], -2 [0 0x1 * 1];
        94  MakeCell                       0 Free               None     Next       : 0, 0;
        95  MapAdd                         0 Int                None     Next       : -2, -2;
        96  MatchClass                     0 Int                None     Next       : -2, -2;
        97  PopJumpIfFalse                 1 Jump               Forward  Conditional: -1, -1;
        98  PopJumpIfNone                  1 Jump               Forward  Conditional: -1, -1;
        99  PopJumpIfNotNone               1 Jump               Forward  Conditional: -1, -1;
        100 PopJumpIfTrue                  1 Jump               Forward  Conditional: -1, -1;
        101 RaiseVarargs                   0 Int                None     Raise      : 0 [0 0xffffffff * -1], 0 [0 0xffffffff * -1];
        102 Reraise                        0 Int                None     Raise      : -1, -1;
        103 ReturnConst                    0 Const              None     Return     : 0, 0;
        104 Send                           1 Jump               Forward  Conditional: 0, 0;
        105 SetAdd                         0 Int                None     Next       : -1, -1;
        106 SetFunctionAttribute           0 FunctionAttributes None     Next       : -1, -1;
        107 SetUpdate                      0 Int                None     Next       : -1, -1;
        108 StoreAttr                      4 Name               None     Next       : -2, -2;
        109 StoreDeref                     0 Free               None     Next       : -1, -1;
        110 StoreFast                      0 Local              None     Next       : -1, -1;
        111 StoreFastLoadFast              0 LocalPair          None     Next       : 0, 0;
        112 StoreFastStoreFast             0 LocalPair          None     Next       : -2, -2;
        113 StoreGlobal                    0 Name               None     Next       : -1, -1;
        114 StoreName                      0 Name               None     Next       : -1, -1;
        115 Swap                           0 Int                None     Next       : 0, 0;
        116 UnpackEx                       0 Int                None     Next       : 0 [0 0xff * 1] [8 0xffffffff * 1], 0 [0 0xff * 1] [8 0xffffffff * 1];
        117 UnpackSequence                 1 Int                None     Next       : -1 [0 0xffffffff * 1], -1 [0 0xffffffff * 1];
        118 YieldValue                     0 Int                None     Yield      : 0, 0;
        149 Resume                         0 Int                None     Next       : 0, 0;
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
    special_methods {}
    common_constants {}
}

// Written by `cargo xtask opcodes` from CPython 3.11.7; not to be edited.

//! The instruction set of CPython 3.11.

// RETURN_GENERATOR: not as dis says. Objects/genobject.c, gen_send_ex2: the value sent (None at first) is pushed before the frame resumes; the POP_TOP that follows pops it.
// PRECALL: not as dis says. Python/ceval.c, TARGET(PRECALL): replaces slots, pops none.
// CALL: not as dis says. Python/ceval.c, TARGET(CALL): pops oparg arguments and two slots below them, pushes the result.
crate::opcode::table::table! {
    opcodes {
        1   PopTop                         0 None               None     Next       : -1, -1;
        2   PushNull                       0 None               None     Next       : 1, 1;
        9   Nop                            0 None               None     Next       : 0, 0;
        10  UnaryPositive                  0 None               None     Next       : 0, 0;
        11  UnaryNegative                  0 None               None     Next       : 0, 0;
        12  UnaryNot                       0 None               None     Next       : 0, 0;
        15  UnaryInvert                    0 None               None     Next       : 0, 0;
        25  BinarySubscr                   4 None               None     Next       : -1, -1;
        30  GetLen                         0 None               None     Next       : 1, 1;
        31  MatchMapping                   0 None               None     Next       : 1, 1;
        32  MatchSequence                  0 None               None     Next       : 1, 1;
        33  MatchKeys                      0 None               None     Next       : 1, 1;
        35  PushExcInfo                    0 None               None     Next       : 1, 1;
        36  CheckExcMatch                  0 None               None     Next       : 0, 0;
        37  CheckEgMatch                   0 None               None     Next       : 0, 0;
        49  WithExceptStart                0 None               None     Next       : 1, 1;
        50  GetAiter                       0 None               None     Next       : 0, 0;
        51  GetAnext                       0 None               None     Next       : 1, 1;
        52  BeforeAsyncWith                0 None               None     Next       : 1, 1;
        53  BeforeWith                     0 None               None     Next       : 1, 1;
        54  EndAsyncFor                    0 None               None     Next       : -2, -2;
        60  StoreSubscr                    1 None               None     Next       : -3, -3;
        61  DeleteSubscr                   0 None               None     Next       : -2, -2;
        68  GetIter                        0 None               None     Next       : 0, 0;
        69  GetYieldFromIter               0 None               None     Next       : 0, 0;
        70  PrintExpr                      0 None               None     Next       : -1, -1;
        71  LoadBuildClass                 0 None               None     Next       : 1, 1;
        74  LoadAssertionError             0 None               None     Next       : 1, 1;
        75  ReturnGenerator                0 None               None     Yield      : 1, 1;
        82  ListToTuple                    0 None               None     Next       : 0, 0;
        83  ReturnValue                    0 None               None     Return     : -1, -1;
        84  ImportStar                     0 None               None     Next       : -1, -1;
        85  SetupAnnotations               0 None               None     Next       : 0, 0;
        86  YieldValue                     0 None               None     Yield      : 0, 0;
        87  AsyncGenWrap                   0 None               None     Next       : 0, 0;
        88  PrepReraiseStar                0 None               None     Next       : -1, -1;
        89  PopExcept                      0 None               None     Next       : -1, -1;
        90  StoreName                      0 Name               None     Next       : -1, -1;
        91  DeleteName                     0 Name               None     Next       : 0, 0;
        92  UnpackSequence                 1 Int                None     Next       : -1 [0 0xffffffff * 1], -1 [0 0xffffffff * 1];
        93  ForIter                        0 Jump               Forward  Conditional: 1, -1;
        94  UnpackEx                       0 Int                None     Next       : 0 [0 0xff * 1] [8 0xffffffff * 1], 0 [0 0xff * 1] [8 0xffffffff * 1];
        95  StoreAttr                      4 Name               None     Next       : -2, -2;
        96  DeleteAttr                     0 Name               None     Next       : -1, -1;
        97  StoreGlobal                    0 Name               None     Next       : -1, -1;
        98  DeleteGlobal                   0 Name               None     Next       : 0, 0;
        99  Swap                           0 Int                None     Next       : 0, 0;
        100 LoadConst                      0 Const              None     Next       : 1, 1;
        101 LoadName                       0 Name               None     Next       : 1, 1;
        102 BuildTuple                     0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        103 BuildList                      0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        104 BuildSet                       0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        105 BuildMap                       0 Int                None     Next       : 1 [0 0xffffffff * -2], 1 [0 0xffffffff * -2];
        106 LoadAttr                       4 Name               None     Next       : 0, 0;
        107 CompareOp                      2 Compare            None     Next       : -1, -1;
        108 ImportName                     0 Name               None     Next       : -1, -1;
        109 ImportFrom                     0 Name               None     Next       : 1, 1;
        110 JumpForward                    0 Jump               Forward  Jump       : 0, 0;
        111 JumpIfFalseOrPop               0 Jump               Forward  Conditional: -1, 0;
        112 JumpIfTrueOrPop                0 Jump               Forward  Conditional: -1, 0;
        114 PopJumpForwardIfFalse          0 Jump               Forward  Conditional: -1, -1;
        115 PopJumpForwardIfTrue           0 Jump               Forward  Conditional: -1, -1;
        116 LoadGlobal                     5 NameNull           None     Next       : 1 [0 0x1 * 1], 1 [0 0x1 * 1];
        117 IsOp                           0 Is                 None     Next       : -1, -1;
        118 ContainsOp                     0 Contains           None     Next       : -1, -1;
        119 Reraise                        0 Int                None     Raise      : -1, -1;
        120 Copy                           0 Int                None     Next       : 1, 1;
        122 BinaryOp                       1 BinaryOp           None     Next       : -1, -1;
        123 Send                           0 Jump               Forward  Conditional: 0, -1;
        124 LoadFast                       0 Local              None     Next       : 1, 1;
        125 StoreFast                      0 Local              None     Next       : -1, -1;
        126 DeleteFast                     0 Local              None     Next       : 0, 0;
        128 PopJumpForwardIfNotNone        0 Jump               Forward  Conditional: -1, -1;
        129 PopJumpForwardIfNone           0 Jump               Forward  Conditional: -1, -1;
        130 RaiseVarargs                   0 Int                None     Raise      : 0 [0 0xffffffff * -1], 0 [0 0xffffffff * -1];
        131 GetAwaitable                   0 Int                None     Next       : 0, 0;
        132 MakeFunction                   0 FunctionAttributes None     Next       : 0 [0 0x1 * -1] [1 0x1 * -1] [2 0x1 * -1] [3 0x1 * -1], 0 [0 0x1 * -1] [1 0x1 * -1] [2 0x1 * -1] [3 0x1 * -1];
        133 BuildSlice                     0 Int                None     Next       : -1 [== 3 * -1], -1 [== 3 * -1];
        134 JumpBackwardNoInterrupt        0 Jump               Backward Jump       : 0, 0;
        135 MakeCell                       0 Free               None     Next       : 0, 0;
        136 LoadClosure                    0 Free               None     Next       : 1, 1;
        137 LoadDeref                      0 Free               None     Next       : 1, 1;
        138 StoreDeref                     0 Free               None     Next       : -1, -1;
        139 DeleteDeref                    0 Free               None     Next       : 0, 0;
        140 JumpBackward                   0 Jump               Backward Jump       : 0, 0;
        142 CallFunctionEx                 0 Int                None     Next       : -2 [0 0x1 * -1], -2 [0 0x1 * -1];
        144 ExtendedArg                    0 Extended           None     Next       : 0, 0;
        145 ListAppend                     0 Int                None     Next       : -1, -1;
        146 SetAdd                         0 Int                None     Next       : -1, -1;
        147 MapAdd                         0 Int                None     Next       : -2, -2;
        148 LoadClassderef                 0 Free               None     Next       : 1, 1;
        149 CopyFreeVars                   0 Int                None     Next       : 0, 0;
        151 Resume                         0 Int                None     Next       : 0, 0;
        152 MatchClass                     0 Int                None     Next       : -2, -2;
        155 FormatValue                    0 FormatValue        None     Next       : 0 [2 0x1 * -1], 0 [2 0x1 * -1];
        156 BuildConstKeyMap               0 Int                None     Next       : 0 [0 0xffffffff * -1], 0 [0 0xffffffff * -1];
        157 BuildString                    0 Int                None     Next       : 1 [0 0xffffffff * -1], 1 [0 0xffffffff * -1];
        160 LoadMethod                    10 Name               None     Next       : 1, 1;
        162 ListExtend                     0 Int                None     Next       : -1, -1;
        163 SetUpdate                      0 Int                None     Next       : -1, -1;
        164 DictMerge                      0 Int                None     Next       : -1, -1;
        165 DictUpdate                     0 Int                None     Next       : -1, -1;
        166 Precall                        1 Int                None     Next       : 0, 0;
        171 Call                           4 Int                None     Next       : -1 [0 0xffffffff * -1], -1 [0 0xffffffff * -1];
        172 KwNames                        0 Const              None     Next       : 0, 0;
        173 PopJumpBackwardIfNotNone       0 Jump               Backward Conditional: -1, -1;
        174 PopJumpBackwardIfNone          0 Jump               Backward Conditional: -1, -1;
        175 PopJumpBackwardIfFalse         0 Jump               Backward Conditional: -1, -1;
        176 PopJumpBackwardIfTrue          0 Jump               Backward Conditional: -1, -1;
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
    intrinsics_1 {}
    intrinsics_2 {}
    special_methods {}
    common_constants {}
}

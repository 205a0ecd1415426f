"""Every message from a client to TWS, in wire order, for server versions 157 to 178."""

from __future__ import annotations

from ibdesk.gateway.protocol.fields import (
    ALGORITHM,
    COMBO,
    CONDITIONS,
    CONTRACT,
    DATA_LEGS,
    DELTA_NEUTRAL_CONTRACT,
    DELTA_NEUTRAL_ORDER,
    HEDGE,
    INFINITE_TEXTS,
    LEG,
    PEGGED_TO_BENCHMARK,
    SCALE_DETAILS,
    TAG_VALUE,
    AnyOf,
    AtVersion,
    Before,
    Entry,
    MessageSpec,
    OneOf,
    Repeat,
    Since,
    When,
    fields,
)

_PEG_BEST = OneOf("orderType", ("PEG BEST", "PEGBEST"))
_PEG_MID = AnyOf(
    (
        OneOf("orderType", ("PEG MID", "PEGMID")),
        OneOf("competeAgainstBestOffset", tuple(sorted(INFINITE_TEXTS))),
    )
)

PLACE_ORDER: tuple[Entry, ...] = (
    *fields("orderId:i"),
    *CONTRACT,
    *fields(
        "secIdType:s secId:s action:s totalQuantity:d orderType:s lmtPrice:f auxPrice:f tif:s ocaGroup:s "
        "account:s openClose:s origin:i orderRef:s transmit:b parentId:i blockOrder:b sweepToFill:b "
        "displaySize:i triggerMethod:i outsideRth:b hidden:b"
    ),
    When(
        COMBO,
        (
            Repeat("comboLegsCount", "comboLegs", LEG),
            Repeat("orderComboLegsCount", "orderComboLegs", fields("legPrice:f")),
            Repeat("smartComboRoutingParamsCount", "smartComboRoutingParams", TAG_VALUE),
        ),
    ),
    *fields("sharesAllocation:s discretionaryAmt:f goodAfterTime:s goodTillDate:s faGroup:s faMethod:s faPercentage:s"),
    AtVersion(Before(177), fields("faProfile:s")),
    *fields(
        "modelCode:s shortSaleSlot:i designatedLocation:s exemptCode:i ocaType:i rule80A:s settlingFirm:s "
        "allOrNone:b minQty:i percentOffset:f eTradeOnly:b firmQuoteOnly:b nbboPriceCap:f auctionStrategy:i "
        "startingPrice:f stockRefPrice:f delta:f stockRangeLower:f stockRangeUpper:f "
        "overridePercentageConstraints:b volatility:f volatilityType:i deltaNeutralOrderType:s "
        "deltaNeutralAuxPrice:f"
    ),
    DELTA_NEUTRAL_ORDER,
    *fields(
        "continuousUpdate:b referencePriceType:i trailStopPrice:f trailingPercent:f scaleInitLevelSize:i "
        "scaleSubsLevelSize:i scalePriceIncrement:f"
    ),
    SCALE_DETAILS,
    *fields("scaleTable:s activeStartTime:s activeStopTime:s"),
    *HEDGE,
    *fields("optOutSmartRouting:b clearingAccount:s clearingIntent:s notHeld:b"),
    *DELTA_NEUTRAL_CONTRACT,
    *ALGORITHM,
    *fields("algoId:s whatIf:b orderMiscOptions:s solicited:b randomizeSize:b randomizePrice:b"),
    PEGGED_TO_BENCHMARK,
    *CONDITIONS,
    *fields(
        "adjustedOrderType:s triggerPrice:f lmtPriceOffset:f adjustedStopPrice:f adjustedStopLimitPrice:f "
        "adjustedTrailingAmount:f adjustableTrailingUnit:i extOperator:s softDollarName:s softDollarVal:s "
        "cashQty:f mifid2DecisionMaker:s mifid2DecisionAlgo:s mifid2ExecutionTrader:s mifid2ExecutionAlgo:s "
        "dontUseAutoPriceForHedge:b isOmsContainer:b discretionaryUpToLimitPrice:b usePriceMgmtAlgo:b"
    ),
    AtVersion(Since(158), fields("duration:i")),
    AtVersion(Since(160), fields("postToAts:i")),
    AtVersion(Since(162), fields("autoCancelParent:b")),
    AtVersion(Since(166), fields("advancedErrorOverride:s")),
    AtVersion(Since(169), fields("manualOrderTime:s")),
    AtVersion(
        Since(170),
        (
            When(OneOf("exchange", ("IBKRATS",)), fields("minTradeQty:i")),
            When(_PEG_BEST, fields("minCompeteSize:i competeAgainstBestOffset:f")),
            When(_PEG_MID, fields("midOffsetAtWhole:f midOffsetAtHalf:f")),
        ),
    ),
)


def _message(number: int, name: str, head: str = "", *more: Entry) -> MessageSpec:
    return MessageSpec(number, name, (*fields(head), *more))


_ALL = (
    _message(
        1,
        "reqMktData",
        "version:i reqId:i",
        *CONTRACT,
        DATA_LEGS,
        *DELTA_NEUTRAL_CONTRACT,
        *fields("genericTickList:s snapshot:b regulatorySnapshot:b mktDataOptions:s"),
    ),
    _message(2, "cancelMktData", "version:i reqId:i"),
    _message(3, "placeOrder", "", *PLACE_ORDER),
    _message(4, "cancelOrder", "version:i orderId:i", AtVersion(Since(169), fields("manualCancelOrderTime:s"))),
    _message(5, "reqOpenOrders", "version:i"),
    _message(6, "reqAccountUpdates", "version:i subscribe:b acctCode:s"),
    _message(
        7,
        "reqExecutions",
        "version:i reqId:i clientId:i acctCode:s time:s symbol:s secType:s exchange:s side:s",
    ),
    _message(8, "reqIds", "version:i numIds:i"),
    _message(
        9,
        "reqContractDetails",
        "version:i reqId:i",
        *CONTRACT,
        *fields("includeExpired:b secIdType:s secId:s"),
        AtVersion(Since(176), fields("issuerId:s")),
    ),
    _message(
        10,
        "reqMktDepth",
        "version:i reqId:i",
        *CONTRACT,
        *fields("numRows:i isSmartDepth:b mktDepthOptions:s"),
    ),
    _message(11, "cancelMktDepth", "version:i reqId:i isSmartDepth:b"),
    _message(12, "reqNewsBulletins", "version:i allMsgs:b"),
    _message(13, "cancelNewsBulletins", "version:i"),
    _message(14, "setServerLogLevel", "version:i logLevel:i"),
    _message(15, "reqAutoOpenOrders", "version:i bAutoBind:b"),
    _message(16, "reqAllOpenOrders", "version:i"),
    _message(17, "reqManagedAccts", "version:i"),
    _message(
        20,
        "reqHistoricalData",
        "reqId:i",
        *CONTRACT,
        *fields("includeExpired:b endDateTime:s barSizeSetting:s durationStr:s useRTH:b whatToShow:s formatDate:i"),
        DATA_LEGS,
        *fields("keepUpToDate:b chartOptions:s"),
    ),
    _message(23, "cancelScannerSubscription", "version:i reqId:i"),
    _message(24, "reqScannerParameters", "version:i"),
    _message(25, "cancelHistoricalData", "version:i reqId:i"),
    _message(49, "reqCurrentTime", "version:i"),
    _message(
        50,
        "reqRealTimeBars",
        "version:i reqId:i",
        *CONTRACT,
        *fields("barSize:i whatToShow:s useRTH:b realTimeBarsOptions:s"),
    ),
    _message(51, "cancelRealTimeBars", "version:i reqId:i"),
    _message(58, "reqGlobalCancel", "version:i"),
    _message(59, "reqMarketDataType", "version:i marketDataType:i"),
    _message(61, "reqPositions", "version:i"),
    _message(62, "reqAccountSummary", "version:i reqId:i groupName:s tags:s"),
    _message(63, "cancelAccountSummary", "version:i reqId:i"),
    _message(64, "cancelPositions", "version:i"),
    _message(71, "startApi", "version:i clientId:i optCapab:s"),
    _message(74, "reqPositionsMulti", "version:i reqId:i account:s modelCode:s"),
    _message(75, "cancelPositionsMulti", "version:i reqId:i"),
    _message(76, "reqAccountUpdatesMulti", "version:i reqId:i account:s modelCode:s ledgerAndNLV:b"),
    _message(77, "cancelAccountUpdatesMulti", "version:i reqId:i"),
    _message(
        78,
        "reqSecDefOptParams",
        "reqId:i underlyingSymbol:s futFopExchange:s underlyingSecType:s underlyingConId:i",
    ),
    _message(79, "reqSoftDollarTiers", "reqId:i"),
    _message(80, "reqFamilyCodes"),
    _message(81, "reqMatchingSymbols", "reqId:i pattern:s"),
    _message(82, "reqMktDepthExchanges"),
    _message(83, "reqSmartComponents", "reqId:i bboExchange:s"),
    _message(85, "reqNewsProviders"),
    _message(
        87,
        "reqHeadTimeStamp",
        "reqId:i",
        *CONTRACT,
        *fields("includeExpired:b useRTH:b whatToShow:s formatDate:i"),
    ),
    _message(88, "reqHistogramData", "reqId:i", *CONTRACT, *fields("includeExpired:b useRTH:b timePeriod:s")),
    _message(89, "cancelHistogramData", "reqId:i"),
    _message(90, "cancelHeadTimeStamp", "reqId:i"),
    _message(91, "reqMarketRule", "marketRuleId:i"),
    _message(92, "reqPnL", "reqId:i account:s modelCode:s"),
    _message(93, "cancelPnL", "reqId:i"),
    _message(94, "reqPnLSingle", "reqId:i account:s modelCode:s conId:i"),
    _message(95, "cancelPnLSingle", "reqId:i"),
    _message(
        96,
        "reqHistoricalTicks",
        "reqId:i",
        *CONTRACT,
        *fields(
            "includeExpired:b startDateTime:s endDateTime:s numberOfTicks:i whatToShow:s useRth:b ignoreSize:b "
            "miscOptions:s"
        ),
    ),
    _message(97, "reqTickByTickData", "reqId:i", *CONTRACT, *fields("tickType:s numberOfTicks:i ignoreSize:b")),
    _message(98, "cancelTickByTickData", "reqId:i"),
    _message(99, "reqCompletedOrders", "apiOnly:b"),
    _message(104, "reqUserInfo", "reqId:i"),
)

INCOMING: dict[int, MessageSpec] = {message.id: message for message in _ALL}

REQUEST_ID_AT: dict[int, int] = {
    19: 4,
    21: 2,
    22: 1,
    52: 2,
    53: 2,
    54: 2,
    55: 2,
    56: 2,
    57: 2,
    67: 2,
    68: 2,
    69: 2,
    70: 2,
    84: 1,
    86: 1,
    100: 1,
    101: 1,
    102: 1,
    103: 1,
}
"""The index of the request id (the message number is field 0) in known requests that the gateway does not answer, so
that their error reaches the caller.
"""

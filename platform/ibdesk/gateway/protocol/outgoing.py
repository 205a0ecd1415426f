"""Every message from TWS to a client, in wire order, for server versions 157 to 178."""

from __future__ import annotations

from ibdesk.gateway.protocol.fields import (
    ALGORITHM,
    CONDITIONS,
    CONTRACT_WITHOUT_PRIMARY,
    DELTA_NEUTRAL_CONTRACT,
    DELTA_NEUTRAL_ORDER,
    HEDGE,
    LEG,
    PEGGED_TO_BENCHMARK,
    PEGGED_TO_BEST,
    SCALE_DETAILS,
    TAG_VALUE,
    AtVersion,
    Before,
    Entry,
    MessageSpec,
    NoneOf,
    OneOf,
    Only,
    Repeat,
    Since,
    When,
    fields,
)

_COMBO_LISTS: tuple[Entry, ...] = (
    Repeat("comboLegsCount", "comboLegs", LEG),
    Repeat("orderComboLegsCount", "orderComboLegs", fields("legPrice:f")),
    Repeat("smartComboRoutingParamsCount", "smartComboRoutingParams", TAG_VALUE),
)

_ORDER_HEAD: tuple[Entry, ...] = (
    *CONTRACT_WITHOUT_PRIMARY,
    *fields(
        "action:s totalQuantity:d orderType:s lmtPrice:f auxPrice:f tif:s ocaGroup:s account:s openClose:s "
        "origin:i orderRef:s"
    ),
)

OPEN_ORDER: tuple[Entry, ...] = (
    *fields("orderId:i"),
    *_ORDER_HEAD,
    *fields(
        "clientId:i permId:i outsideRth:b hidden:b discretionaryAmt:f goodAfterTime:s sharesAllocation:s "
        "faGroup:s faMethod:s faPercentage:s"
    ),
    AtVersion(Before(177), fields("faProfile:s")),
    *fields(
        "modelCode:s goodTillDate:s rule80A:s percentOffset:f settlingFirm:s shortSaleSlot:i "
        "designatedLocation:s exemptCode:i auctionStrategy:i startingPrice:f stockRefPrice:f delta:f "
        "stockRangeLower:f stockRangeUpper:f displaySize:i blockOrder:b sweepToFill:b allOrNone:b minQty:i "
        "ocaType:i eTradeOnly:b firmQuoteOnly:b nbboPriceCap:f parentId:i triggerMethod:i volatility:f "
        "volatilityType:i deltaNeutralOrderType:s deltaNeutralAuxPrice:f"
    ),
    DELTA_NEUTRAL_ORDER,
    *fields(
        "continuousUpdate:b referencePriceType:i trailStopPrice:f trailingPercent:f basisPoints:f "
        "basisPointsType:i comboLegsDescrip:s"
    ),
    *_COMBO_LISTS,
    *fields("scaleInitLevelSize:i scaleSubsLevelSize:i scalePriceIncrement:f"),
    SCALE_DETAILS,
    *HEDGE,
    *fields("optOutSmartRouting:b clearingAccount:s clearingIntent:s notHeld:b"),
    *DELTA_NEUTRAL_CONTRACT,
    *ALGORITHM,
    *fields(
        "solicited:b whatIf:b status:s initMarginBefore:s maintMarginBefore:s equityWithLoanBefore:s "
        "initMarginChange:s maintMarginChange:s equityWithLoanChange:s initMarginAfter:s maintMarginAfter:s "
        "equityWithLoanAfter:s commission:f minCommission:f maxCommission:f commissionCurrency:s "
        "warningText:s randomizeSize:b randomizePrice:b"
    ),
    PEGGED_TO_BENCHMARK,
    *CONDITIONS,
    *fields(
        "adjustedOrderType:s triggerPrice:f trailStopPrice2:f lmtPriceOffset:f adjustedStopPrice:f "
        "adjustedStopLimitPrice:f adjustedTrailingAmount:f adjustableTrailingUnit:i softDollarName:s "
        "softDollarVal:s softDollarDisplayName:s cashQty:f dontUseAutoPriceForHedge:b isOmsContainer:b "
        "discretionaryUpToLimitPrice:b usePriceMgmtAlgo:b"
    ),
    AtVersion(Since(158), fields("duration:i")),
    AtVersion(Since(160), fields("postToAts:i")),
    AtVersion(Since(162), fields("autoCancelParent:b")),
    PEGGED_TO_BEST,
)

COMPLETED_ORDER: tuple[Entry, ...] = (
    *_ORDER_HEAD,
    *fields("permId:i outsideRth:b hidden:b discretionaryAmt:f goodAfterTime:s faGroup:s faMethod:s faPercentage:s"),
    AtVersion(Before(177), fields("faProfile:s")),
    *fields(
        "modelCode:s goodTillDate:s rule80A:s percentOffset:f settlingFirm:s shortSaleSlot:i "
        "designatedLocation:s exemptCode:i startingPrice:f stockRefPrice:f delta:f stockRangeLower:f "
        "stockRangeUpper:f displaySize:i sweepToFill:b allOrNone:b minQty:i ocaType:i triggerMethod:i "
        "volatility:f volatilityType:i deltaNeutralOrderType:s deltaNeutralAuxPrice:f"
    ),
    When(
        NoneOf("deltaNeutralOrderType", ("",)),
        fields(
            "deltaNeutralConId:i deltaNeutralShortSale:b deltaNeutralShortSaleSlot:i deltaNeutralDesignatedLocation:s"
        ),
    ),
    *fields("continuousUpdate:b referencePriceType:i trailStopPrice:f trailingPercent:f comboLegsDescrip:s"),
    *_COMBO_LISTS,
    *fields("scaleInitLevelSize:i scaleSubsLevelSize:i scalePriceIncrement:f"),
    SCALE_DETAILS,
    *HEDGE,
    *fields("clearingAccount:s clearingIntent:s notHeld:b"),
    *DELTA_NEUTRAL_CONTRACT,
    *ALGORITHM,
    *fields("solicited:b status:s randomizeSize:b randomizePrice:b"),
    PEGGED_TO_BENCHMARK,
    *CONDITIONS,
    *fields(
        "trailStopPrice2:f lmtPriceOffset:f cashQty:f dontUseAutoPriceForHedge:b isOmsContainer:b "
        "autoCancelDate:s filledQuantity:d refFuturesConId:i autoCancelParent:b shareholder:s imbalanceOnly:b "
        "routeMarketableToBbo:b parentPermId:i completedTime:s completedStatus:s"
    ),
    PEGGED_TO_BEST,
)

CONTRACT_DETAILS: tuple[Entry, ...] = (
    AtVersion(Before(164), fields("version:i=8")),
    *fields(
        "reqId:i symbol:s secType:s lastTradeDateOrContractMonth:s strike:f right:s exchange:s currency:s "
        "localSymbol:s marketName:s tradingClass:s conId:i minTick:f"
    ),
    AtVersion(Before(164), fields("mdSizeMultiplier:i")),
    *fields(
        "multiplier:s orderTypes:s validExchanges:s priceMagnifier:i underConId:i longName:s primaryExchange:s "
        "contractMonth:s industry:s category:s subcategory:s timeZoneId:s tradingHours:s liquidHours:s "
        "evRule:s evMultiplier:f"
    ),
    Repeat("secIdListCount", "secIdList", TAG_VALUE),
    *fields("aggGroup:i underSymbol:s underSecType:s marketRuleIds:s realExpirationDate:s stockType:s"),
    AtVersion(Only(163), fields("sizeMinTick:d")),
    AtVersion(Since(164), fields("minSize:d sizeIncrement:d suggestedSizeIncrement:d")),
)

EXECUTION: tuple[Entry, ...] = (
    *fields("reqId:i orderId:i"),
    *CONTRACT_WITHOUT_PRIMARY,
    *fields(
        "execId:s time:s acctNumber:s execExchange:s side:s shares:d price:f permId:i clientId:i liquidation:i "
        "cumQty:d avgPrice:f orderRef:s evRule:s evMultiplier:f modelCode:s lastLiquidity:i"
    ),
    AtVersion(Since(178), fields("pendingPriceRevision:b")),
)

PORTFOLIO_VALUE = fields(
    "version:i=8 conId:i symbol:s secType:s lastTradeDateOrContractMonth:s strike:f right:s multiplier:s "
    "primaryExchange:s currency:s localSymbol:s tradingClass:s position:d marketPrice:f marketValue:f "
    "averageCost:f unrealizedPNL:f realizedPNL:f account:s"
)

SCANNER_ROW = fields(
    "rank:i conId:i symbol:s secType:s lastTradeDate:s strike:f right:s exchange:s currency:s localSymbol:s "
    "marketName:s tradingClass:s distance:s benchmark:s projection:s legsStr:s"
)

SYMBOL_SAMPLE: tuple[Entry, ...] = (
    *fields("conId:i symbol:s secType:s primaryExchange:s currency:s"),
    Repeat("derivCount", "derivatives", fields("derivSecType:s")),
    AtVersion(Since(176), fields("description:s issuerId:s")),
)

TICK_BY_TICK: tuple[Entry, ...] = (
    *fields("reqId:i tickType:i time:i"),
    When(OneOf("tickType", ("1", "2")), fields("price:f size:d mask:i exchange:s specialConditions:s")),
    When(OneOf("tickType", ("3",)), fields("bidPrice:f askPrice:f bidSize:d askSize:d mask:i")),
    When(OneOf("tickType", ("4",)), fields("midPoint:f")),
)


def _message(number: int, name: str, head: str = "", *more: Entry) -> MessageSpec:
    return MessageSpec(number, name, (*fields(head), *more))


_ALL = (
    _message(1, "tickPrice", "version:i=6 reqId:i tickType:i price:f size:d attrMask:i"),
    _message(2, "tickSize", "version:i=6 reqId:i tickType:i size:d"),
    _message(
        3,
        "orderStatus",
        "orderId:i status:s filled:d remaining:d avgFillPrice:f permId:i parentId:i lastFillPrice:f clientId:i "
        "whyHeld:s mktCapPrice:f",
    ),
    _message(
        4,
        "errMsg",
        "version:i=2 id:i errorCode:i errorMsg:s",
        AtVersion(Since(166), fields("advancedOrderRejectJson:s")),
    ),
    _message(5, "openOrder", "", *OPEN_ORDER),
    _message(6, "accountValue", "version:i=2 key:s value:s currency:s account:s"),
    _message(7, "portfolioValue", "", *PORTFOLIO_VALUE),
    _message(8, "accountUpdateTime", "version:i=1 time:s"),
    _message(9, "nextValidId", "version:i=1 orderId:i"),
    _message(10, "contractDetails", "", *CONTRACT_DETAILS),
    _message(11, "execDetails", "", *EXECUTION),
    _message(12, "marketDepth", "version:i=1 reqId:i position:i operation:i side:i price:f size:d"),
    _message(
        13,
        "marketDepthL2",
        "version:i=1 reqId:i position:i marketMaker:s operation:i side:i price:f size:d isSmartDepth:b",
    ),
    _message(14, "newsBulletin", "version:i=1 msgId:i msgType:i message:s origExchange:s"),
    _message(15, "managedAccounts", "version:i=1 accounts:s"),
    _message(
        17,
        "historicalData",
        "reqId:i start:s end:s",
        Repeat("barsCount", "bars", fields("date:s open:f high:f low:f close:f volume:d wap:d count:i")),
    ),
    _message(19, "scannerParameters", "version:i=1 xml:s"),
    _message(20, "scannerData", "version:i=3 reqId:i", Repeat("rowsCount", "rows", SCANNER_ROW)),
    _message(
        21,
        "tickOptionComputation",
        "reqId:i tickType:i tickAttrib:i impliedVol:f delta:f optPrice:f pvDividend:f gamma:f vega:f theta:f "
        "undPrice:f",
    ),
    _message(45, "tickGeneric", "version:i=6 reqId:i tickType:i value:f"),
    _message(46, "tickString", "version:i=6 reqId:i tickType:i value:s"),
    _message(49, "currentTime", "version:i=1 time:i"),
    _message(
        50,
        "realTimeBar",
        "version:i=3 reqId:i time:i open:f high:f low:f close:f volume:d wap:d count:i",
    ),
    _message(52, "contractDetailsEnd", "version:i=1 reqId:i"),
    _message(53, "openOrderEnd", "version:i=1"),
    _message(54, "accountDownloadEnd", "version:i=1 account:s"),
    _message(55, "execDetailsEnd", "version:i=1 reqId:i"),
    _message(57, "tickSnapshotEnd", "version:i=1 reqId:i"),
    _message(58, "marketDataType", "version:i=1 reqId:i marketDataType:i"),
    _message(
        59,
        "commissionReport",
        "version:i=1 execId:s commission:f currency:s realizedPNL:f yield:f yieldRedemptionDate:i",
    ),
    _message(61, "position", "version:i=3 account:s", *CONTRACT_WITHOUT_PRIMARY, *fields("position:d avgCost:f")),
    _message(62, "positionEnd", "version:i=1"),
    _message(63, "accountSummary", "version:i=1 reqId:i account:s tag:s value:s currency:s"),
    _message(64, "accountSummaryEnd", "version:i=1 reqId:i"),
    _message(
        71,
        "positionMulti",
        "version:i=1 reqId:i account:s",
        *CONTRACT_WITHOUT_PRIMARY,
        *fields("position:d avgCost:f modelCode:s"),
    ),
    _message(72, "positionMultiEnd", "version:i=1 reqId:i"),
    _message(
        73,
        "accountUpdateMulti",
        "version:i=1 reqId:i account:s modelCode:s key:s value:s currency:s",
    ),
    _message(74, "accountUpdateMultiEnd", "version:i=1 reqId:i"),
    _message(
        75,
        "secDefOptParams",
        "reqId:i exchange:s underlyingConId:i tradingClass:s multiplier:s",
        Repeat("expirationsCount", "expirations", fields("expiration:s")),
        Repeat("strikesCount", "strikes", fields("strike:f")),
    ),
    _message(76, "secDefOptParamsEnd", "reqId:i"),
    _message(
        77,
        "softDollarTiers",
        "reqId:i",
        Repeat("tiersCount", "tiers", fields("name:s val:s displayName:s")),
    ),
    _message(78, "familyCodes", "", Repeat("codesCount", "codes", fields("accountID:s familyCode:s"))),
    _message(79, "symbolSamples", "reqId:i", Repeat("samplesCount", "samples", SYMBOL_SAMPLE)),
    _message(
        80,
        "mktDepthExchanges",
        "",
        Repeat(
            "exchangesCount",
            "exchanges",
            fields("exchange:s secType:s listingExch:s serviceDataType:s aggGroup:i"),
        ),
    ),
    _message(81, "tickReqParams", "reqId:i minTick:f bboExchange:s snapshotPermissions:i"),
    _message(
        82,
        "smartComponents",
        "reqId:i",
        Repeat("componentsCount", "components", fields("bitNumber:i exchange:s exchangeLetter:s")),
    ),
    _message(85, "newsProviders", "", Repeat("providersCount", "providers", fields("code:s name:s"))),
    _message(88, "headTimestamp", "reqId:i timestamp:s"),
    _message(89, "histogramData", "reqId:i", Repeat("itemsCount", "items", fields("price:f size:d"))),
    _message(
        90,
        "historicalDataUpdate",
        "reqId:i barCount:i date:s open:f close:f high:f low:f wap:d volume:d",
    ),
    _message(
        93,
        "marketRule",
        "marketRuleId:i",
        Repeat("incrementsCount", "increments", fields("lowEdge:f increment:f")),
    ),
    _message(94, "pnl", "reqId:i dailyPnL:f unrealizedPnL:f realizedPnL:f"),
    _message(95, "pnlSingle", "reqId:i pos:d dailyPnL:f unrealizedPnL:f realizedPnL:f value:f"),
    _message(
        96,
        "historicalTicks",
        "reqId:i",
        Repeat("ticksCount", "ticks", fields("time:i unused:i price:f size:d")),
        *fields("done:b"),
    ),
    _message(
        97,
        "historicalTicksBidAsk",
        "reqId:i",
        Repeat("ticksCount", "ticks", fields("time:i mask:i priceBid:f priceAsk:f sizeBid:d sizeAsk:d")),
        *fields("done:b"),
    ),
    _message(
        98,
        "historicalTicksLast",
        "reqId:i",
        Repeat("ticksCount", "ticks", fields("time:i mask:i price:f size:d exchange:s specialConditions:s")),
        *fields("done:b"),
    ),
    _message(99, "tickByTick", "", *TICK_BY_TICK),
    _message(100, "orderBound", "permId:i clientId:i orderId:i"),
    _message(101, "completedOrder", "", *COMPLETED_ORDER),
    _message(102, "completedOrdersEnd"),
    _message(
        106,
        "historicalSchedule",
        "reqId:i start:s end:s timeZone:s",
        Repeat("sessionsCount", "sessions", fields("sessionStart:s sessionEnd:s refDate:s")),
    ),
    _message(107, "userInfo", "reqId:i whiteBrandingId:s"),
)

OUTGOING: dict[int, MessageSpec] = {message.id: message for message in _ALL}
OUTGOING_BY_NAME: dict[str, MessageSpec] = {message.name: message for message in _ALL}

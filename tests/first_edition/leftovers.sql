pragma user_version = 4;
pragma application_id = 1094997583;
BEGIN TRANSACTION;
CREATE TABLE advo_entries (
    betnr integer not null,
    komm_id integer not null,
    row_id text not null,
    value text,
    canonical text,
    remark text,
    own_text text,
    marker_kind text not null default 'none' check (marker_kind in ('none', 'marker', 'slot', 'damaged')),
    marker_value text,
    marker_canonical text,
    marker_komm_kz integer,
    is_slot integer not null default 0 check (is_slot in (0, 1)),
    komm_kz integer not null default 0,
    field_komm_kz integer,
    channel text check (channel in ('phone', 'mail')),
    online integer not null default 0 check (online in (0, 1)),
    mobile integer not null default 0 check (mobile in (0, 1)),
    primary key (betnr, komm_id)
) strict;
INSERT INTO "advo_entries" VALUES(104716,88011,'AOHCJBNJECPDFKDHFAHEBFHNNNANIMIFAEPDFJAI','0511 2220010','+495112220010','[ESPOCRM:KzQ5NTExMjIyMDAxMA==:1] nur vormittags','nur vormittags','marker','+495112220010','+495112220010',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104716,88012,'MDOHFIEOFFGEDBKKMCGMBBOIIMDJHHJBFOCCPDJP','0511 2220011','+495112220011','[ESPOCRM:KzQ5NTExMjIyMDAxMQ==:1]','','marker','+495112220011','+495112220011',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104716,88018,'FFEBIOCDEELFMHLHFLNDCHGNMDLDDOBFKFEHHFCI','Mutter: 0511 123456','Mutter: 0511 123456',NULL,'','none',NULL,NULL,NULL,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104711,88001,'LJJMGNMGNEKLLKMKHHFKMKJABMBOMIBLBLKBLGPH','',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwMA==:1] nur vormittags','nur vormittags','marker','+495112220000','+495112220000',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104711,88002,'IGLCGBLECHJFMFMEILMNDOEJHOPAPKALMEHFDDBH','0511 2220001','+495112220001','[ESPOCRM:KzQ5NTExMjIyMDAwMQ==:1]','','marker','+495112220001','+495112220001',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104712,88003,'LJFGMDGMBIGBOPABLJNNEPGKALMPIFGGAFHAMEPD','0511 2220002','+495112220002','[ESPOCRM:KzQ5NTExMjIyMDAwMg==:1] nur vormittags','nur vormittags','marker','+495112220002','+495112220002',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104712,88004,'FPAPMJIABCLEEGHKEECCHMLIHHPLFDNPDEKBPOAE','0511 2220003','+495112220003','[ESPOCRM:KzQ5NTExMjIyMDAwMw==:1]','','marker','+495112220003','+495112220003',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104712,88017,'KJHNOENIFNNNNNPLNNFNAMIELDGINAIGJFJCAFCN',NULL,NULL,'[ESPOCRM:YW5uYUBtdXN0ZXIuZGU=:4]','','marker','anna@muster.de','anna@muster.de',4,0,0,NULL,'mail',0,0);
INSERT INTO "advo_entries" VALUES(104713,88005,'PMPIFFAMCOKOCMIMNJEBPIDONCLDCGFMOMPKJKPC','   ',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwNA==:1] nur vormittags','nur vormittags','marker','+495112220004','+495112220004',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104713,88006,'EEAOEGJDLBINLNLFGKJLIDPDAHLOKKJGGNLHDNBJ','0511 2220005','+495112220005','[ESPOCRM:KzQ5NTExMjIyMDAwNQ==:1]','','marker','+495112220005','+495112220005',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104714,88007,'KPMCIAEKDINKMHDNFJGGDELBALGMEOJFLFNHDEBB','',NULL,'[ESPOCRM-SLOT:1] nur vormittags','nur vormittags','slot',NULL,NULL,1,1,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104714,88008,'KLCOAIPNKKDPOPFJNPGBJBBNEGHPLFABLECPNPMA','0511 2220007','+495112220007','[ESPOCRM:KzQ5NTExMjIyMDAwNw==:1]','','marker','+495112220007','+495112220007',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104715,88009,'MDGKHDFIKHBGDHAKHINCBALGKMHIIIKMHGKHJNBF','0511 2220008','+495112220008','[ESPOCRM:KzQ5NTExMjIyMDAwOA==:1] nur vormittags','nur vormittags','marker','+495112220008','+495112220008',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104715,88010,'KNBKMEMCOFDDLOGGLKHKPJBPJBILNFPOAJPBJPDO','',NULL,'[ESPOCRM-SLOT:1]','','slot',NULL,NULL,1,1,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104715,88019,'HOFIAGJDELPCDGDOAJLOJMAMPPHOPHPCDGKINKGD','+491711234567','+491711234567','[ESPOCRM:KzQ5MTcxMTIzNDU2Nw==:3]','','marker','+491711234567','+491711234567',3,0,0,NULL,'phone',0,1);
INSERT INTO "advo_entries" VALUES(104717,88013,'HFKEEOJNICJKJOFMHKDLHGMNIBHJLMDMCHDKIKKC','0511 2220012','+495112220012','[ESPOCRM:KzQ5NTExMjIyMDAxMg==:1] Gegner','Gegner','marker','+495112220012','+495112220012',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104717,88014,'ANNFCHGBIIFCEMEADPBNMIPADBOACHMBHEMEKABD','0511 2220013','+495112220013','[ESPOCRM:KzQ5NTExMjIyMDAxMw==:1]','','marker','+495112220013','+495112220013',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104718,88015,'MGFCJGALDMIEPCADCEEBDICHLBIAGIMJKPLOKMKA','',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAxNA==:1] nur vormittags','nur vormittags','marker','+495112220014','+495112220014',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104718,88016,'LKNGMJKDEEBMNHNJFGMGFLCCGDPIGAHKKLNDDHJF','0511 2220015','+495112220015','[ESPOCRM:KzQ5NTExMjIyMDAxNQ==:1]','','marker','+495112220015','+495112220015',1,0,0,NULL,'phone',0,0);
CREATE TABLE baseline (
    entity_id text not null,
    betnr integer not null,
    komm_id integer not null,
    channel text not null check (channel in ('phone', 'mail')),
    espo_value text,
    espo_canonical text,
    espo_type text,
    advo_value text,
    advo_canonical text,
    komm_kz integer,
    row_id text,
    remark text,
    unmarked integer not null default 0 check (unmarked in (0, 1)),
    other_row integer,
    agreed_at text not null,
    primary key (entity_id, betnr, komm_id)
) strict;
INSERT INTO "baseline" VALUES('6a93e30018aee18de',104717,88014,'phone','+495112220013','+495112220013','Office','0511 2220013','+495112220013',1,'ANNFCHGBIIFCEMEADPBNMIPADBOACHMBHEMEKABD',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e3004aac07820',104714,88008,'phone','+495112220007','+495112220007','Office','0511 2220007','+495112220007',1,'KLCOAIPNKKDPOPFJNPGBJBBNEGHPLFABLECPNPMA',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e3007d6ee4b36',104715,88009,'phone','+495112220008','+495112220008','Office','0511 2220008','+495112220008',1,'MDGKHDFIKHBGDHAKHINCBALGKMHIIIKMHGKHJNBF',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e3008b089e98f',104716,88011,'phone','+495112220010','+495112220010','Office','0511 2220010','+495112220010',1,'AOHCJBNJECPDFKDHFAHEBFHNNNANIMIFAEPDFJAI',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e3008b089e98f',104716,88012,'phone','+495112220011','+495112220011','Office','0511 2220011','+495112220011',1,'MDOHFIEOFFGEDBKKMCGMBBOIIMDJHHJBFOCCPDJP',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e30095b6cb270',104713,88006,'phone','+495112220005','+495112220005','Office','0511 2220005','+495112220005',1,'EEAOEGJDLBINLNLFGKJLIDPDAHLOKKJGGNLHDNBJ',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e300a77fac4e1',104711,88002,'phone','+495112220001','+495112220001','Office','0511 2220001','+495112220001',1,'IGLCGBLECHJFMFMEILMNDOEJHOPAPKALMEHFDDBH',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e300a88da0bbe',104718,88015,'phone','+495112220014','+495112220014','Office','0511 2220014','+495112220014',1,'CGMNMDKBFPINPBEIPKBDGMLNPIAIPJBABJFAJFFE',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e300a88da0bbe',104718,88016,'phone','+495112220015','+495112220015','Office','0511 2220015','+495112220015',1,'LKNGMJKDEEBMNHNJFGMGFLCCGDPIGAHKKLNDDHJF',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e300e195caffd',104712,88003,'phone','+495112220002','+495112220002','Office','0511 2220002','+495112220002',1,'LJFGMDGMBIGBOPABLJNNEPGKALMPIFGGAFHAMEPD',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e300e195caffd',104712,88004,'phone','+495112220003','+495112220003','Office','0511 2220003','+495112220003',1,'FPAPMJIABCLEEGHKEECCHMLIHHPLFDNPDEKBPOAE',NULL,0,NULL,'2026-08-30 08:15:00');
INSERT INTO "baseline" VALUES('6a93e3007d6ee4b36',104715,88019,'phone','+491711234567','+491711234567','Mobile','+491711234567','+491711234567',3,'HOFIAGJDELPCDGDOAJLOJMAMPPHOPHPCDGKINKGD',NULL,0,NULL,'2026-08-30 10:15:00');
INSERT INTO "baseline" VALUES('6a93e30018aee18de',104717,88013,'phone','+495112220012','+495112220012','Office','0511 2220012','+495112220012',1,'HFKEEOJNICJKJOFMHKDLHGMNIBHJLMDMCHDKIKKC',NULL,0,NULL,'2026-08-30 10:15:00');
CREATE TABLE changes (
    id integer primary key,
    run_id integer not null references runs (id),
    decision_id integer references decisions (id),
    seq integer not null default 0,
    entity_id text not null,
    betnr integer,
    variant text not null,
    reason text,
    side text not null check (side in ('espo', 'advo')),
    action text not null,
    komm_id integer,
    komm_kz integer,
    channel text check (channel in ('phone', 'mail')),
    old_value text,
    new_value text,
    old_remark text,
    new_remark text,
    before text,
    after text,
    answered_row_id text,
    state text not null default 'planned' check (
        state in ('planned', 'started', 'done', 'failed', 'unknown', 'held', 'dropped')
    ),
    settled integer not null default 0 check (settled in (0, 1)),
    error text,
    started_at text,
    finished_at text
) strict;
INSERT INTO "changes" VALUES(1,1,1,0,'6a93e30018aee18de',104717,'link','the same value on both sides, not linked yet','advo','mark',88013,1,'phone','0511 2220012','0511 2220012','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAxMg==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "MJEOFFFJHCEBCCLDEMLOADNLLCJFGDGJMLKHNKPD", "value": "0511 2220012"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxMg==:1] nur vormittags", "value": "0511 2220012"}','KJMGFAIKEOHCJLCOOIOICKDMMLNMMNIIKIACGEKD','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(2,1,2,1,'6a93e30018aee18de',104717,'link','the same value on both sides, not linked yet','advo','mark',88014,1,'phone','0511 2220013','0511 2220013',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAxMw==:1]','{"online": false, "remark": null, "row_id": "AKNIEFOMMEKMNPJMOLPOLNLJHGDCDLFOCOMBJEKF", "value": "0511 2220013"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxMw==:1]", "value": "0511 2220013"}','ANNFCHGBIIFCEMEADPBNMIPADBOACHMBHEMEKABD','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(3,1,3,0,'6a93e3004aac07820',104714,'link','the same value on both sides, not linked yet','advo','mark',88007,1,'phone','0511 2220006','0511 2220006','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAwNg==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "CFAHCJGOGFOGIFODCDKAPJBGNANHBFDEEMOIAFFP", "value": "0511 2220006"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwNg==:1] nur vormittags", "value": "0511 2220006"}','MMIDFKJABHLNAMDJJANLLFPBNLBEJHLHJIGBMODE','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(4,1,4,1,'6a93e3004aac07820',104714,'link','the same value on both sides, not linked yet','advo','mark',88008,1,'phone','0511 2220007','0511 2220007',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwNw==:1]','{"online": false, "remark": null, "row_id": "MIONAHGJLPHBPECBDACGMBMOIIJCKGMGIIAJPFNA", "value": "0511 2220007"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwNw==:1]", "value": "0511 2220007"}','KLCOAIPNKKDPOPFJNPGBJBBNEGHPLFABLECPNPMA','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(5,1,5,0,'6a93e3007d6ee4b36',104715,'link','the same value on both sides, not linked yet','advo','mark',88009,1,'phone','0511 2220008','0511 2220008','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAwOA==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "IBCODDFDMKKPBOADLJIDEHJDHDDJBCLOIOHIFIDG", "value": "0511 2220008"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwOA==:1] nur vormittags", "value": "0511 2220008"}','MDGKHDFIKHBGDHAKHINCBALGKMHIIIKMHGKHJNBF','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(6,1,6,1,'6a93e3007d6ee4b36',104715,'link','the same value on both sides, not linked yet','advo','mark',88010,1,'phone','0511 2220009','0511 2220009',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwOQ==:1]','{"online": false, "remark": null, "row_id": "HBMBMOOABIOPIHPPNKIDMFADPEJCNKBKOPCPEKGH", "value": "0511 2220009"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwOQ==:1]", "value": "0511 2220009"}','OFILHCFGEGPCNKGFJNOLCLEEKOPKKPPOFCCHOCJH','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(7,1,7,0,'6a93e3008b089e98f',104716,'link','the same value on both sides, not linked yet','advo','mark',88011,1,'phone','0511 2220010','0511 2220010','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAxMA==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "HCOFKEAJHDOLGCNNGMALBIBBCFDEHFBBDOOMKAJI", "value": "0511 2220010"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxMA==:1] nur vormittags", "value": "0511 2220010"}','AOHCJBNJECPDFKDHFAHEBFHNNNANIMIFAEPDFJAI','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(8,1,8,1,'6a93e3008b089e98f',104716,'link','the same value on both sides, not linked yet','advo','mark',88012,1,'phone','0511 2220011','0511 2220011',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAxMQ==:1]','{"online": false, "remark": null, "row_id": "OJENGNFGLBNNIDFPGKDDBPJBNAFBIAADMKMJPMMN", "value": "0511 2220011"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxMQ==:1]", "value": "0511 2220011"}','MDOHFIEOFFGEDBKKMCGMBBOIIMDJHHJBFOCCPDJP','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(9,1,10,0,'6a93e30095b6cb270',104713,'link','the same value on both sides, not linked yet','advo','mark',88005,1,'phone','0511 2220004','0511 2220004','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAwNA==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "HPGIFAMMMGCMNAMIKEKEIOHDNANPGNNGHGDIPCJB", "value": "0511 2220004"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwNA==:1] nur vormittags", "value": "0511 2220004"}','JPHBBODAKCCGMBFHKMGKPIJEHFDIHGEFKECENDDN','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(10,1,11,1,'6a93e30095b6cb270',104713,'link','the same value on both sides, not linked yet','advo','mark',88006,1,'phone','0511 2220005','0511 2220005',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwNQ==:1]','{"online": false, "remark": null, "row_id": "HFCBNEPOACIBEKFIDODMBPLMALAHOBAHOGMNGGND", "value": "0511 2220005"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwNQ==:1]", "value": "0511 2220005"}','EEAOEGJDLBINLNLFGKJLIDPDAHLOKKJGGNLHDNBJ','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(11,1,12,0,'6a93e300a77fac4e1',104711,'link','the same value on both sides, not linked yet','advo','mark',88001,1,'phone','0511 2220000','0511 2220000','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAwMA==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "CBJFOCDKLKFJPKIEGJIEANGKDMKPNKDPPFGOEHHL", "value": "0511 2220000"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwMA==:1] nur vormittags", "value": "0511 2220000"}','FBMMNDKJAJKHEHHMLAHOACPLJNIMLEHDODICOLDF','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(12,1,13,1,'6a93e300a77fac4e1',104711,'link','the same value on both sides, not linked yet','advo','mark',88002,1,'phone','0511 2220001','0511 2220001',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwMQ==:1]','{"online": false, "remark": null, "row_id": "KMHECCAIHHJNLMPPLNFMOCMFKCEAIPMGHIAPGNDO", "value": "0511 2220001"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwMQ==:1]", "value": "0511 2220001"}','IGLCGBLECHJFMFMEILMNDOEJHOPAPKALMEHFDDBH','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(13,1,14,0,'6a93e300a88da0bbe',104718,'link','the same value on both sides, not linked yet','advo','mark',88015,1,'phone','0511 2220014','0511 2220014','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAxNA==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "ODKHJFJMMJLDFPACKCHJDFJGPADGNGLHKOINFKGJ", "value": "0511 2220014"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxNA==:1] nur vormittags", "value": "0511 2220014"}','CGMNMDKBFPINPBEIPKBDGMLNPIAIPJBABJFAJFFE','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(14,1,15,1,'6a93e300a88da0bbe',104718,'link','the same value on both sides, not linked yet','advo','mark',88016,1,'phone','0511 2220015','0511 2220015',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAxNQ==:1]','{"online": false, "remark": null, "row_id": "FOABEFPELBKNEEENGDJDDJBFFFHLFAINCJDMMAAJ", "value": "0511 2220015"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxNQ==:1]", "value": "0511 2220015"}','LKNGMJKDEEBMNHNJFGMGFLCCGDPIGAHKKLNDDHJF','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(15,1,16,0,'6a93e300e195caffd',104712,'link','the same value on both sides, not linked yet','advo','mark',88003,1,'phone','0511 2220002','0511 2220002','nur vormittags','[ESPOCRM:KzQ5NTExMjIyMDAwMg==:1] nur vormittags','{"online": false, "remark": "nur vormittags", "row_id": "POEMEDJAIOBHNENEDBCNPIEGFHCHCPNLFINOJFKD", "value": "0511 2220002"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwMg==:1] nur vormittags", "value": "0511 2220002"}','LJFGMDGMBIGBOPABLJNNEPGKALMPIFGGAFHAMEPD','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(16,1,17,1,'6a93e300e195caffd',104712,'link','the same value on both sides, not linked yet','advo','mark',88004,1,'phone','0511 2220003','0511 2220003',NULL,'[ESPOCRM:KzQ5NTExMjIyMDAwMw==:1]','{"online": false, "remark": null, "row_id": "DNNCKDIPAODADLJEKBFFKGMOPMGHDAGEMCHMFLJN", "value": "0511 2220003"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwMw==:1]", "value": "0511 2220003"}','FPAPMJIABCLEEGHKEECCHMLIHHPLFDNPDEKBPOAE','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(17,1,18,2,'6a93e300e195caffd',104712,'link','the same value on both sides, not linked yet','advo','mark',88017,4,'mail','Anna@muster.de','Anna@muster.de',NULL,'[ESPOCRM:YW5uYUBtdXN0ZXIuZGU=:4]','{"online": false, "remark": null, "row_id": "LAEODGBBKLLJFFLPBEEBJEIDEJEGGCMFIEIECOFK", "value": "Anna@muster.de"}','{"online": false, "remark": "[ESPOCRM:YW5uYUBtdXN0ZXIuZGU=:4]", "value": "Anna@muster.de"}','CCLFEEDJLGMKNJLNBANPHCHGPFLOKPMJFJCOFDBL','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(18,3,19,0,'6a93e300a77fac4e1',104711,'var3','deleted in Advoware','espo','remove',88001,1,'phone','+495112220000',NULL,NULL,NULL,'{"channel": "phone", "invalid": false, "opt_out": false, "primary": true, "raw": "{\"invalid\": false, \"optOut\": false, \"phoneNumber\": \"+495112220000\", \"primary\": true, \"type\": \"Office\"}", "type": "Office", "value": "+495112220000"}','{"online": false, "remark": null, "value": null}',NULL,'done',1,NULL,'2026-08-30 08:45:00','2026-08-30 08:45:00');
INSERT INTO "changes" VALUES(19,3,19,1,'6a93e300a77fac4e1',104711,'var3','deleted in Advoware','advo','mark',88001,1,'phone','','','[ESPOCRM:KzQ5NTExMjIyMDAwMA==:1] nur vormittags','[ESPOCRM-SLOT:1] nur vormittags','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwMA==:1] nur vormittags", "row_id": "LJJMGNMGNEKLLKMKHHFKMKJABMBOMIBLBLKBLGPH", "value": ""}','{"online": false, "remark": "[ESPOCRM-SLOT:1] nur vormittags", "value": ""}',NULL,'failed',1,'did not arrive','2026-08-30 08:45:00','2026-08-30 09:00:00');
INSERT INTO "changes" VALUES(20,5,20,0,'6a93e300e195caffd',104712,'var3','deleted in Advoware','espo','remove',88017,4,'mail','anna@muster.de',NULL,NULL,NULL,'{"channel": "mail", "invalid": false, "opt_out": false, "primary": true, "raw": "{\"emailAddress\": \"anna@muster.de\", \"invalid\": false, \"lower\": \"anna@muster.de\", \"optOut\": false, \"primary\": true}", "type": null, "value": "anna@muster.de"}','{"online": false, "remark": null, "value": null}',NULL,'done',1,NULL,'2026-08-30 09:15:00','2026-08-30 09:15:00');
INSERT INTO "changes" VALUES(21,5,20,1,'6a93e300e195caffd',104712,'var3','deleted in Advoware','advo','mark',88017,4,'mail','','','[ESPOCRM:YW5uYUBtdXN0ZXIuZGU=:4]','[ESPOCRM-SLOT:4]','{"online": false, "remark": "[ESPOCRM:YW5uYUBtdXN0ZXIuZGU=:4]", "row_id": "KJHNOENIFNNNNNPLNNFNAMIELDGINAIGJFJCAFCN", "value": ""}','{"online": false, "remark": "[ESPOCRM-SLOT:4]", "value": ""}',NULL,'failed',1,'did not arrive','2026-08-30 09:15:00','2026-08-30 09:30:00');
INSERT INTO "changes" VALUES(22,6,21,0,'6a93e30095b6cb270',104713,'var3','deleted in Advoware','espo','remove',88005,1,'phone','+495112220004',NULL,NULL,NULL,'{"channel": "phone", "invalid": false, "opt_out": false, "primary": true, "raw": "{\"invalid\": false, \"optOut\": false, \"phoneNumber\": \"+495112220004\", \"primary\": true, \"type\": \"Office\"}", "type": "Office", "value": "+495112220004"}','{"online": false, "remark": null, "value": null}',NULL,'done',1,NULL,'2026-08-30 09:30:00','2026-08-30 09:30:00');
INSERT INTO "changes" VALUES(23,8,22,0,'6a93e3004aac07820',104714,'var3','deleted in Advoware','espo','remove',88007,1,'phone','+495112220006',NULL,NULL,NULL,'{"channel": "phone", "invalid": false, "opt_out": false, "primary": true, "raw": "{\"invalid\": false, \"optOut\": false, \"phoneNumber\": \"+495112220006\", \"primary\": true, \"type\": \"Office\"}", "type": "Office", "value": "+495112220006"}','{"online": false, "remark": null, "value": null}',NULL,'done',1,NULL,'2026-08-30 10:00:00','2026-08-30 10:00:00');
INSERT INTO "changes" VALUES(24,8,22,1,'6a93e3004aac07820',104714,'var3','deleted in Advoware','advo','mark',88007,1,'phone','','','[ESPOCRM:KzQ5NTExMjIyMDAwNg==:1] nur vormittags','[ESPOCRM-SLOT:1] nur vormittags','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwNg==:1] nur vormittags", "row_id": "FMOFGPDMEGMOIBEGNFJGEALIJKLMCGNHAOCDEDJA", "value": ""}','{"online": false, "remark": "[ESPOCRM-SLOT:1] nur vormittags", "value": ""}','KPMCIAEKDINKMHDNFJGGDELBALGMEOJFLFNHDEBB','done',1,NULL,'2026-08-30 10:00:00','2026-08-30 10:00:00');
INSERT INTO "changes" VALUES(25,9,24,0,'6a93e3007d6ee4b36',104715,'var1','new in EspoCRM','advo','create',88019,3,'phone',NULL,'+491711234567',NULL,'[ESPOCRM:KzQ5MTcxMTIzNDU2Nw==:3]','{"komm_ids": [88009, 88010]}','{"online": false, "remark": "[ESPOCRM:KzQ5MTcxMTIzNDU2Nw==:3]", "value": "+491711234567"}','HOFIAGJDELPCDGDOAJLOJMAMPPHOPHPCDGKINKGD','done',1,NULL,'2026-08-30 10:15:00','2026-08-30 10:15:00');
INSERT INTO "changes" VALUES(26,9,23,1,'6a93e3007d6ee4b36',104715,'var2','deleted in EspoCRM','advo','empty',88010,1,'phone','0511 2220009','','[ESPOCRM:KzQ5NTExMjIyMDAwOQ==:1]','[ESPOCRM-SLOT:1]','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAwOQ==:1]", "row_id": "OFILHCFGEGPCNKGFJNOLCLEEKOPKKPPOFCCHOCJH", "value": "0511 2220009"}','{"online": false, "remark": "[ESPOCRM-SLOT:1]", "value": ""}','KNBKMEMCOFDDLOGGLKHKPJBPJBILNFPOAJPBJPDO','done',1,NULL,'2026-08-30 10:15:00','2026-08-30 10:15:00');
INSERT INTO "changes" VALUES(27,9,25,0,'6a93e30018aee18de',104717,'repair','the values agree, the marker did not','advo','mark',88013,1,'phone','0511 2220012','0511 2220012','[ESPOCRM:kaputt] Gegner','[ESPOCRM:KzQ5NTExMjIyMDAxMg==:1] Gegner','{"online": false, "remark": "[ESPOCRM:kaputt] Gegner", "row_id": "HEMKPGLOCFOJFHPPCCCBGOKDEOCEBFECLDDCNKFA", "value": "0511 2220012"}','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxMg==:1] Gegner", "value": "0511 2220012"}','HFKEEOJNICJKJOFMHKDLHGMNIBHJLMDMCHDKIKKC','done',1,NULL,'2026-08-30 10:15:00','2026-08-30 10:15:00');
INSERT INTO "changes" VALUES(28,10,26,0,'6a93e300a88da0bbe',104718,'var3','deleted in Advoware','espo','remove',88015,1,'phone','+495112220014',NULL,NULL,NULL,'{"channel": "phone", "invalid": false, "opt_out": false, "primary": true, "raw": "{\"invalid\": false, \"optOut\": false, \"phoneNumber\": \"+495112220014\", \"primary\": true, \"type\": \"Office\"}", "type": "Office", "value": "+495112220014"}','{"online": false, "remark": null, "value": null}',NULL,'done',0,NULL,'2026-08-30 10:30:00','2026-08-30 10:30:00');
INSERT INTO "changes" VALUES(29,10,26,1,'6a93e300a88da0bbe',104718,'var3','deleted in Advoware','advo','mark',88015,1,'phone','','','[ESPOCRM:KzQ5NTExMjIyMDAxNA==:1] nur vormittags','[ESPOCRM-SLOT:1] nur vormittags','{"online": false, "remark": "[ESPOCRM:KzQ5NTExMjIyMDAxNA==:1] nur vormittags", "row_id": "MGFCJGALDMIEPCADCEEBDICHLBIAGIMJKPLOKMKA", "value": ""}','{"online": false, "remark": "[ESPOCRM-SLOT:1] nur vormittags", "value": ""}',NULL,'started',0,NULL,'2026-08-30 10:30:00',NULL);
CREATE TABLE conflicts (
    id integer primary key autoincrement,
    run_id integer not null references runs (id),
    change_id integer references changes (id) on delete set null,
    entity_id text not null,
    betnr integer,
    variant text not null,
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    espo_value text,
    advo_value text,
    kept text not null check (kept in ('espo', 'advo')),
    reason text,
    created_at text not null,
    noted_at text,
    seen_at text,
    restored_at text
) strict;
CREATE TABLE decisions (
    id integer primary key,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    variant text not null,
    reason text,
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    foreseen text,
    drops text not null default '[]',
    facts text,
    state text not null default 'planned' check (
        state in ('planned', 'done', 'settled', 'superseded', 'held', 'failed')
    ),
    created_at text not null
) strict;
INSERT INTO "decisions" VALUES(1,1,'6a93e30018aee18de',104717,'link','the same value on both sides, not linked yet',88013,'phone','{"advo_canonical": "+495112220012", "advo_value": "0511 2220012", "betnr": 104717, "channel": "phone", "entity_id": "6a93e30018aee18de", "espo_canonical": "+495112220012", "espo_type": "Office", "espo_value": "+495112220012", "komm_id": 88013, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(2,1,'6a93e30018aee18de',104717,'link','the same value on both sides, not linked yet',88014,'phone','{"advo_canonical": "+495112220013", "advo_value": "0511 2220013", "betnr": 104717, "channel": "phone", "entity_id": "6a93e30018aee18de", "espo_canonical": "+495112220013", "espo_type": "Office", "espo_value": "+495112220013", "komm_id": 88014, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(3,1,'6a93e3004aac07820',104714,'link','the same value on both sides, not linked yet',88007,'phone','{"advo_canonical": "+495112220006", "advo_value": "0511 2220006", "betnr": 104714, "channel": "phone", "entity_id": "6a93e3004aac07820", "espo_canonical": "+495112220006", "espo_type": "Office", "espo_value": "+495112220006", "komm_id": 88007, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(4,1,'6a93e3004aac07820',104714,'link','the same value on both sides, not linked yet',88008,'phone','{"advo_canonical": "+495112220007", "advo_value": "0511 2220007", "betnr": 104714, "channel": "phone", "entity_id": "6a93e3004aac07820", "espo_canonical": "+495112220007", "espo_type": "Office", "espo_value": "+495112220007", "komm_id": 88008, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(5,1,'6a93e3007d6ee4b36',104715,'link','the same value on both sides, not linked yet',88009,'phone','{"advo_canonical": "+495112220008", "advo_value": "0511 2220008", "betnr": 104715, "channel": "phone", "entity_id": "6a93e3007d6ee4b36", "espo_canonical": "+495112220008", "espo_type": "Office", "espo_value": "+495112220008", "komm_id": 88009, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(6,1,'6a93e3007d6ee4b36',104715,'link','the same value on both sides, not linked yet',88010,'phone','{"advo_canonical": "+495112220009", "advo_value": "0511 2220009", "betnr": 104715, "channel": "phone", "entity_id": "6a93e3007d6ee4b36", "espo_canonical": "+495112220009", "espo_type": "Office", "espo_value": "+495112220009", "komm_id": 88010, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(7,1,'6a93e3008b089e98f',104716,'link','the same value on both sides, not linked yet',88011,'phone','{"advo_canonical": "+495112220010", "advo_value": "0511 2220010", "betnr": 104716, "channel": "phone", "entity_id": "6a93e3008b089e98f", "espo_canonical": "+495112220010", "espo_type": "Office", "espo_value": "+495112220010", "komm_id": 88011, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(8,1,'6a93e3008b089e98f',104716,'link','the same value on both sides, not linked yet',88012,'phone','{"advo_canonical": "+495112220011", "advo_value": "0511 2220011", "betnr": 104716, "channel": "phone", "entity_id": "6a93e3008b089e98f", "espo_canonical": "+495112220011", "espo_type": "Office", "espo_value": "+495112220011", "komm_id": 88012, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(9,1,'6a93e3008b089e98f',104716,'leave','new in Advoware: not an international number',88018,'phone',NULL,'[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": false, "known": false, "marked": false, "type_edit": false}, "verdict": "hold", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(10,1,'6a93e30095b6cb270',104713,'link','the same value on both sides, not linked yet',88005,'phone','{"advo_canonical": "+495112220004", "advo_value": "0511 2220004", "betnr": 104713, "channel": "phone", "entity_id": "6a93e30095b6cb270", "espo_canonical": "+495112220004", "espo_type": "Office", "espo_value": "+495112220004", "komm_id": 88005, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(11,1,'6a93e30095b6cb270',104713,'link','the same value on both sides, not linked yet',88006,'phone','{"advo_canonical": "+495112220005", "advo_value": "0511 2220005", "betnr": 104713, "channel": "phone", "entity_id": "6a93e30095b6cb270", "espo_canonical": "+495112220005", "espo_type": "Office", "espo_value": "+495112220005", "komm_id": 88006, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(12,1,'6a93e300a77fac4e1',104711,'link','the same value on both sides, not linked yet',88001,'phone','{"advo_canonical": "+495112220000", "advo_value": "0511 2220000", "betnr": 104711, "channel": "phone", "entity_id": "6a93e300a77fac4e1", "espo_canonical": "+495112220000", "espo_type": "Office", "espo_value": "+495112220000", "komm_id": 88001, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(13,1,'6a93e300a77fac4e1',104711,'link','the same value on both sides, not linked yet',88002,'phone','{"advo_canonical": "+495112220001", "advo_value": "0511 2220001", "betnr": 104711, "channel": "phone", "entity_id": "6a93e300a77fac4e1", "espo_canonical": "+495112220001", "espo_type": "Office", "espo_value": "+495112220001", "komm_id": 88002, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(14,1,'6a93e300a88da0bbe',104718,'link','the same value on both sides, not linked yet',88015,'phone','{"advo_canonical": "+495112220014", "advo_value": "0511 2220014", "betnr": 104718, "channel": "phone", "entity_id": "6a93e300a88da0bbe", "espo_canonical": "+495112220014", "espo_type": "Office", "espo_value": "+495112220014", "komm_id": 88015, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(15,1,'6a93e300a88da0bbe',104718,'link','the same value on both sides, not linked yet',88016,'phone','{"advo_canonical": "+495112220015", "advo_value": "0511 2220015", "betnr": 104718, "channel": "phone", "entity_id": "6a93e300a88da0bbe", "espo_canonical": "+495112220015", "espo_type": "Office", "espo_value": "+495112220015", "komm_id": 88016, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(16,1,'6a93e300e195caffd',104712,'link','the same value on both sides, not linked yet',88003,'phone','{"advo_canonical": "+495112220002", "advo_value": "0511 2220002", "betnr": 104712, "channel": "phone", "entity_id": "6a93e300e195caffd", "espo_canonical": "+495112220002", "espo_type": "Office", "espo_value": "+495112220002", "komm_id": 88003, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(17,1,'6a93e300e195caffd',104712,'link','the same value on both sides, not linked yet',88004,'phone','{"advo_canonical": "+495112220003", "advo_value": "0511 2220003", "betnr": 104712, "channel": "phone", "entity_id": "6a93e300e195caffd", "espo_canonical": "+495112220003", "espo_type": "Office", "espo_value": "+495112220003", "komm_id": 88004, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(18,1,'6a93e300e195caffd',104712,'link','the same value on both sides, not linked yet',88017,'mail','{"advo_canonical": "anna@muster.de", "advo_value": "Anna@muster.de", "betnr": 104712, "channel": "mail", "entity_id": "6a93e300e195caffd", "espo_canonical": "anna@muster.de", "espo_type": null, "espo_value": "anna@muster.de", "komm_id": 88017, "komm_kz": 4, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 4, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(19,3,'6a93e300a77fac4e1',104711,'var3','deleted in Advoware',88001,'phone',NULL,'[88001]','{"array": true, "base": {"advo_canonical": "+495112220000", "advo_key": 0, "advo_value": "0511 2220000", "espo_canonical": "+495112220000", "espo_key": 0, "espo_type": "Office", "espo_value": "+495112220000", "komm_id": 88001, "komm_kz": 1, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": false, "in_espo": true, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": true}','superseded','2026-08-30 08:45:00');
INSERT INTO "decisions" VALUES(20,5,'6a93e300e195caffd',104712,'var3','deleted in Advoware',88017,'mail',NULL,'[88017]','{"array": true, "base": {"advo_canonical": "anna@muster.de", "advo_key": 8589934592, "advo_value": "Anna@muster.de", "espo_canonical": "anna@muster.de", "espo_key": 8589934592, "espo_type": null, "espo_value": "anna@muster.de", "komm_id": 88017, "komm_kz": 4, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 4, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": false, "in_espo": true, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": true}','superseded','2026-08-30 09:15:00');
INSERT INTO "decisions" VALUES(21,6,'6a93e30095b6cb270',104713,'var3','deleted in Advoware',88005,'phone',NULL,'[88005]','{"array": true, "base": {"advo_canonical": "+495112220004", "advo_key": 0, "advo_value": "0511 2220004", "espo_canonical": "+495112220004", "espo_key": 0, "espo_type": "Office", "espo_value": "+495112220004", "komm_id": 88005, "komm_kz": 1, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": false, "in_espo": true, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": true}','settled','2026-08-30 09:30:00');
INSERT INTO "decisions" VALUES(22,8,'6a93e3004aac07820',104714,'var3','deleted in Advoware',88007,'phone',NULL,'[88007]','{"array": true, "base": {"advo_canonical": "+495112220006", "advo_key": 0, "advo_value": "0511 2220006", "espo_canonical": "+495112220006", "espo_key": 0, "espo_type": "Office", "espo_value": "+495112220006", "komm_id": 88007, "komm_kz": 1, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": false, "in_espo": true, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": true}','settled','2026-08-30 10:00:00');
INSERT INTO "decisions" VALUES(23,9,'6a93e3007d6ee4b36',104715,'var2','deleted in EspoCRM',88010,'phone',NULL,'[88010]','{"array": false, "base": {"advo_canonical": "+495112220009", "advo_key": 25769803780, "advo_value": "0511 2220009", "espo_canonical": "+495112220009", "espo_key": 25769803780, "espo_type": "Office", "espo_value": "+495112220009", "komm_id": 88010, "komm_kz": 1, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": false, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 10:15:00');
INSERT INTO "decisions" VALUES(24,9,'6a93e3007d6ee4b36',104715,'var1','new in EspoCRM',NULL,'phone','{"advo_canonical": "+491711234567", "advo_value": "+491711234567", "betnr": 104715, "channel": "phone", "entity_id": "6a93e3007d6ee4b36", "espo_canonical": "+491711234567", "espo_type": "Mobile", "espo_value": "+491711234567", "komm_id": null, "komm_kz": 3, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 3, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": false, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 10:15:00');
INSERT INTO "decisions" VALUES(25,9,'6a93e30018aee18de',104717,'repair','the values agree, the marker did not',88013,'phone','{"advo_canonical": "+495112220012", "advo_value": "0511 2220012", "betnr": 104717, "channel": "phone", "entity_id": "6a93e30018aee18de", "espo_canonical": "+495112220012", "espo_type": "Office", "espo_value": "+495112220012", "komm_id": 88013, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[88013]','{"array": false, "base": {"advo_canonical": "+495112220012", "advo_key": 0, "advo_value": "0511 2220012", "espo_canonical": "+495112220012", "espo_key": 0, "espo_type": "Office", "espo_value": "+495112220012", "komm_id": 88013, "komm_kz": 1, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 10:15:00');
INSERT INTO "decisions" VALUES(26,10,'6a93e300a88da0bbe',104718,'var3','deleted in Advoware',88015,'phone',NULL,'[88015]','{"array": true, "base": {"advo_canonical": "+495112220014", "advo_key": 0, "advo_value": "0511 2220014", "espo_canonical": "+495112220014", "espo_key": 0, "espo_type": "Office", "espo_value": "+495112220014", "komm_id": 88015, "komm_kz": 1, "pseudo": false, "remark": null, "unmarked": false}, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": false, "in_espo": true, "known": true, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": true}','planned','2026-08-30 10:30:00');
CREATE TABLE espo_entries (
    entity_id text not null,
    channel text not null check (channel in ('phone', 'mail')),
    position integer not null,
    value text not null,
    canonical text not null,
    type text,
    is_primary integer not null default 0 check (is_primary in (0, 1)),
    opt_out integer not null default 0 check (opt_out in (0, 1)),
    invalid integer not null default 0 check (invalid in (0, 1)),
    raw text not null,
    primary key (entity_id, channel, position)
) strict;
INSERT INTO "espo_entries" VALUES('6a93e30018aee18de','phone',0,'+495112220012','+495112220012','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220012", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e30018aee18de','phone',1,'+495112220013','+495112220013','Office',0,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220013", "primary": false, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e3008b089e98f','phone',0,'+495112220010','+495112220010','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220010", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e3008b089e98f','phone',1,'+495112220011','+495112220011','Office',0,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220011", "primary": false, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e300a88da0bbe','phone',0,'+495112220014','+495112220014','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220014", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e300a88da0bbe','phone',1,'+495112220015','+495112220015','Office',0,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220015", "primary": false, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e300a77fac4e1','phone',0,'+495112220001','+495112220001','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220001", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e300e195caffd','phone',0,'+495112220002','+495112220002','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220002", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e300e195caffd','phone',1,'+495112220003','+495112220003','Office',0,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220003", "primary": false, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e30095b6cb270','phone',0,'+495112220005','+495112220005','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220005", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e3004aac07820','phone',0,'+495112220007','+495112220007','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220007", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e3007d6ee4b36','phone',0,'+495112220008','+495112220008','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+495112220008", "primary": true, "type": "Office"}');
INSERT INTO "espo_entries" VALUES('6a93e3007d6ee4b36','phone',1,'+491711234567','+491711234567','Mobile',0,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+491711234567", "primary": false, "type": "Mobile"}');
CREATE TABLE holds (
    id integer primary key autoincrement,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    kind text not null check (kind in ('removals', 'configuration', 'recovery', 'second_writer')),
    reason text,
    digest text,
    until_edited integer not null default 0 check (until_edited in (0, 1)),
    held_at text not null,
    released_at text,
    released_by text
) strict;
CREATE TABLE lease (
    id integer primary key check (id = 1),
    host text not null,
    pid integer not null,
    born text,
    token text not null,
    run text,
    acquired_at text not null,
    heartbeat_at text not null,
    expires_at text not null
) strict;
CREATE TABLE left_alone (
    id integer primary key,
    entity_id text not null,
    betnr integer,
    side text not null check (side in ('espo', 'advo')),
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    value text,
    reason text not null check (reason in ('unsyncable', 'held_back', 'duplicate')),
    direction text check (direction in ('both', 'to_advoware', 'to_espocrm')),
    detail text,
    since text not null
) strict;
INSERT INTO "left_alone" VALUES(1,'6a93e3008b089e98f',104716,'advo',88018,'phone','Mutter: 0511 123456','unsyncable',NULL,'not an international number','2026-08-30 08:15:00');
CREATE TABLE persons (
    entity_id text primary key not null,
    betnr integer,
    name text,
    status text check (
        status in (
            'pending_sync', 'dirty', 'syncing', 'clean',
            'failed', 'permanently_failed', 'conflict', 'deleted_in_advoware'
        )
    ),
    due_since text,
    due_reason text,
    last_sync_at text,
    fingerprint text,
    retry_count integer not null default 0,
    next_retry_at text,
    auto_reset_at text,
    error text,
    espo_modified_at text,
    espo_seen_at text,
    advo_seen_at text,
    espo_status text,
    espo_fingerprint text,
    espo_modified_by text,
    espo_version integer,
    own_modified_at text,
    edited_by_other integer not null default 0 check (edited_by_other in (0, 1)),
    espo_changed_at text,
    advo_changed_at text,
    status_written text,
    fingerprint_written text,
    status_sent text,
    fingerprint_sent text,
    foreign_writes integer not null default 0,
    waiting_side text check (waiting_side in ('espo', 'advo')),
    advo_fields text,
    advo_fingerprint text,
    gone_at text
, agreed_betnr integer) strict;
INSERT INTO "persons" VALUES('6a93e30018aee18de',104717,'Max Muster104717','clean',NULL,NULL,'2026-08-30 10:15:00','ddffded8a97e42e0',0,NULL,NULL,NULL,'2026-08-30 10:15:00','2026-08-30 10:15:00','2026-08-30 10:30:00','clean','ddffded8a97e42e0','6b0434ad3fef4ae13',NULL,'2026-08-30 10:15:00',0,NULL,'2026-08-30 10:15:00','clean','ddffded8a97e42e0','clean','ddffded8a97e42e0',0,NULL,'{}','ddffded8a97e42e0',NULL,104717);
INSERT INTO "persons" VALUES('6a93e3004aac07820',104714,'Max Muster104714','clean',NULL,NULL,'2026-08-30 10:00:00','0d871e96e6510aa9',0,NULL,NULL,NULL,'2026-08-30 10:00:00','2026-08-30 10:00:00','2026-08-30 10:30:00','clean','0d871e96e6510aa9','6b0434ad3fef4ae13',NULL,'2026-08-30 10:00:00',0,NULL,'2026-08-30 10:00:00','clean','0d871e96e6510aa9','clean','0d871e96e6510aa9',0,NULL,'{}','0d871e96e6510aa9',NULL,104714);
INSERT INTO "persons" VALUES('6a93e3007d6ee4b36',104715,'Max Muster104715','clean',NULL,NULL,'2026-08-30 10:15:00','f701d86c3b1fdeec',0,NULL,NULL,NULL,'2026-08-30 10:15:00','2026-08-30 10:15:00','2026-08-30 10:30:00','clean','f701d86c3b1fdeec','6b0434ad3fef4ae13',NULL,'2026-08-30 10:15:00',0,'2026-08-30 10:15:00',NULL,'clean','f701d86c3b1fdeec','clean','f701d86c3b1fdeec',0,NULL,'{}','f701d86c3b1fdeec',NULL,104715);
INSERT INTO "persons" VALUES('6a93e3008b089e98f',104716,'Max Muster104716','clean',NULL,NULL,'2026-08-30 08:15:00','c56be8b076eaa391',0,NULL,NULL,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00','2026-08-30 10:30:00','clean','c56be8b076eaa391','6b0434ad3fef4ae13',NULL,'2026-08-30 08:15:00',0,NULL,NULL,'clean','c56be8b076eaa391','clean','c56be8b076eaa391',0,NULL,'{}','c56be8b076eaa391',NULL,104716);
INSERT INTO "persons" VALUES('6a93e30095b6cb270',104713,'Max Muster104713','clean',NULL,NULL,'2026-08-30 09:30:00','f31d22657d23357d',0,NULL,NULL,NULL,'2026-08-30 09:30:00','2026-08-30 09:30:00','2026-08-30 10:30:00','clean','f31d22657d23357d','6b0434ad3fef4ae13',NULL,'2026-08-30 09:30:00',0,NULL,'2026-08-30 09:30:00','clean','f31d22657d23357d','clean','f31d22657d23357d',0,NULL,'{}','f31d22657d23357d',NULL,104713);
INSERT INTO "persons" VALUES('6a93e300a77fac4e1',104711,'Max Muster104711','clean',NULL,NULL,'2026-08-30 09:00:00','d33dcd7c6755baad',0,NULL,NULL,NULL,'2026-08-30 09:00:00','2026-08-30 09:00:00','2026-08-30 10:30:00','clean','d33dcd7c6755baad','6b0434ad3fef4ae13',NULL,'2026-08-30 09:00:00',0,NULL,'2026-08-30 08:45:00','clean','d33dcd7c6755baad','clean','d33dcd7c6755baad',0,NULL,'{}','d33dcd7c6755baad',NULL,104711);
INSERT INTO "persons" VALUES('6a93e300a88da0bbe',104718,'Max Muster104718','clean','2026-08-30 10:30:00','changed in Advoware','2026-08-30 08:15:00','3f1b00502e2533d8',0,NULL,NULL,NULL,'2026-08-30 10:30:00','2026-08-30 10:30:00','2026-08-30 10:30:00','syncing','3f1b00502e2533d8','6b0434ad3fef4ae13',NULL,'2026-08-30 10:30:00',0,NULL,'2026-08-30 10:30:00','syncing','3f1b00502e2533d8','syncing','3f1b00502e2533d8',0,NULL,'{}','99348ed8ac555f80',NULL,104718);
INSERT INTO "persons" VALUES('6a93e300e195caffd',104712,'Max Muster104712','clean',NULL,NULL,'2026-08-30 09:30:00','bdbaa27efd3acee1',0,NULL,NULL,NULL,'2026-08-30 09:30:00','2026-08-30 09:30:00','2026-08-30 10:30:00','clean','bdbaa27efd3acee1','6b0434ad3fef4ae13',NULL,'2026-08-30 09:30:00',0,NULL,'2026-08-30 09:15:00','clean','bdbaa27efd3acee1','clean','bdbaa27efd3acee1',0,NULL,'{}','bdbaa27efd3acee1',NULL,104712);
CREATE TABLE runs (
    id integer primary key autoincrement,
    version text,
    trigger text not null,
    operator text,
    reason text,
    about integer,
    host text,
    pid integer,
    direction text check (direction in ('both', 'to_advoware', 'to_espocrm')),
    scope text check (scope in ('person', 'entry')),
    started_at text not null,
    finished_at text,
    outcome text check (
        outcome in ('done', 'failed_persons', 'held', 'outage', 'locked', 'stopped', 'abandoned')
    ),
    persons_seen integer not null default 0,
    persons_changed integer not null default 0,
    persons_failed integer not null default 0,
    espo_reads integer not null default 0,
    espo_writes integer not null default 0,
    advo_reads integer not null default 0,
    advo_writes integer not null default 0,
    error text,
    calls text,
    report text
, part_of integer) strict;
INSERT INTO "runs" VALUES(1,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 08:15:00','2026-08-30 08:15:00','done',8,8,0,12,8,16,17,NULL,'{"advoware": {"GET": 16, "PUT": 17}, "espocrm": {"GET": 12, "PUT": 8}}','{"calls": {"advoware": {"GET": 16, "PUT": 17}, "espocrm": {"GET": 12, "PUT": 8}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 0, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 08:15:00", "notices": [], "outcome": "done", "persons": {"changed": 8, "clean": 8, "failed": 0, "held": 0, "left_alone": 1, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 1, "started_at": "2026-08-30 08:15:00", "trigger": "sync", "variants": {"link": 17}, "writes": {"advoware": 17, "espocrm": 8}}',NULL);
INSERT INTO "runs" VALUES(2,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 08:30:00','2026-08-30 08:30:00','done',8,0,0,4,0,8,0,NULL,'{"advoware": {"GET": 8}, "espocrm": {"GET": 4}}','{"calls": {"advoware": {"GET": 8}, "espocrm": {"GET": 4}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 0, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 08:30:00", "notices": [], "outcome": "done", "persons": {"changed": 0, "clean": 0, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 2, "started_at": "2026-08-30 08:30:00", "trigger": "sync", "variants": {}, "writes": {"advoware": 0, "espocrm": 0}}',NULL);
INSERT INTO "runs" VALUES(3,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 08:45:00','2026-08-30 09:00:00','abandoned',0,0,0,0,0,0,0,'The process ended without a word; the next run recovers what it left open.',NULL,NULL,NULL);
INSERT INTO "runs" VALUES(4,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 09:00:00','2026-08-30 09:00:00','done',8,0,0,5,1,8,0,NULL,'{"advoware": {"GET": 8}, "espocrm": {"GET": 5, "PUT": 1}}','{"calls": {"advoware": {"GET": 8}, "espocrm": {"GET": 5, "PUT": 1}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 0, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 09:00:00", "notices": [], "outcome": "done", "persons": {"changed": 0, "clean": 1, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 4, "started_at": "2026-08-30 09:00:00", "trigger": "sync", "variants": {}, "writes": {"advoware": 0, "espocrm": 1}}',NULL);
INSERT INTO "runs" VALUES(5,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 09:15:00','2026-08-30 09:15:00','done',8,0,0,6,1,10,1,NULL,'{"advoware": {"GET": 10, "PUT": 1}, "espocrm": {"GET": 6, "PUT": 1}}','{"calls": {"advoware": {"GET": 10, "PUT": 1}, "espocrm": {"GET": 6, "PUT": 1}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 1, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 09:15:00", "notices": [], "outcome": "done", "persons": {"changed": 0, "clean": 0, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 1}, "run_id": 5, "started_at": "2026-08-30 09:15:00", "trigger": "sync", "variants": {}, "writes": {"advoware": 0, "espocrm": 1}}',NULL);
INSERT INTO "runs" VALUES(6,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 09:30:00','2026-08-30 09:30:00','done',8,1,0,6,3,10,0,NULL,'{"advoware": {"GET": 10}, "espocrm": {"GET": 6, "PUT": 3}}','{"calls": {"advoware": {"GET": 10}, "espocrm": {"GET": 6, "PUT": 3}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 1, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 09:30:00", "notices": [], "outcome": "done", "persons": {"changed": 1, "clean": 2, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 6, "started_at": "2026-08-30 09:30:00", "trigger": "sync", "variants": {"var3": 1}, "writes": {"advoware": 0, "espocrm": 3}}',NULL);
INSERT INTO "runs" VALUES(7,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 09:45:00','2026-08-30 09:45:00','done',8,0,0,4,0,8,0,NULL,'{"advoware": {"GET": 8}, "espocrm": {"GET": 4}}','{"calls": {"advoware": {"GET": 8}, "espocrm": {"GET": 4}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 0, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 09:45:00", "notices": [], "outcome": "done", "persons": {"changed": 0, "clean": 0, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 7, "started_at": "2026-08-30 09:45:00", "trigger": "sync", "variants": {}, "writes": {"advoware": 0, "espocrm": 0}}',NULL);
INSERT INTO "runs" VALUES(8,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 10:00:00','2026-08-30 10:00:00','done',8,1,0,5,2,11,1,NULL,'{"advoware": {"GET": 11, "PUT": 1}, "espocrm": {"GET": 5, "PUT": 2}}','{"calls": {"advoware": {"GET": 11, "PUT": 1}, "espocrm": {"GET": 5, "PUT": 2}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 1, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 10:00:00", "notices": [], "outcome": "done", "persons": {"changed": 1, "clean": 1, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 8, "started_at": "2026-08-30 10:00:00", "trigger": "sync", "variants": {"var3": 1}, "writes": {"advoware": 1, "espocrm": 2}}',NULL);
INSERT INTO "runs" VALUES(9,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 10:15:00','2026-08-30 10:15:00','done',8,2,0,7,2,10,3,NULL,'{"advoware": {"GET": 10, "POST": 1, "PUT": 2}, "espocrm": {"GET": 7, "PUT": 2}}','{"calls": {"advoware": {"GET": 10, "POST": 1, "PUT": 2}, "espocrm": {"GET": 7, "PUT": 2}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 1, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 10:15:00", "notices": [], "outcome": "done", "persons": {"changed": 2, "clean": 2, "failed": 0, "held": 0, "left_alone": 0, "seen": 8, "skipped": 0, "waiting": 0}, "run_id": 9, "started_at": "2026-08-30 10:15:00", "trigger": "sync", "variants": {"repair": 1, "var1": 1, "var2": 1}, "writes": {"advoware": 3, "espocrm": 2}}',NULL);
INSERT INTO "runs" VALUES(10,'0.1.0','sync',NULL,NULL,NULL,'vm',3468,'both','person','2026-08-30 10:30:00',NULL,NULL,0,0,0,0,0,0,0,NULL,NULL,NULL,NULL);
CREATE TABLE settings (
    key text primary key not null,
    value text
) strict;
INSERT INTO "settings" VALUES('instance_id','73efb70d7d477e93');
INSERT INTO "settings" VALUES('config_digest','8e84b15a124d81e4');
INSERT INTO "settings" VALUES('cursor','2026-08-30 10:15:00');
CREATE INDEX persons_due on persons (due_since) where due_since is not null;
CREATE INDEX persons_by_status on persons (status, betnr) where gone_at is null;
CREATE INDEX persons_by_retry on persons (next_retry_at) where next_retry_at is not null;
CREATE INDEX persons_by_auto_reset on persons (auto_reset_at) where auto_reset_at is not null;
CREATE INDEX espo_entries_by_canonical on espo_entries (canonical);
CREATE UNIQUE INDEX left_alone_once on left_alone (
    entity_id, side, ifnull(komm_id, -1), ifnull(channel, ''), ifnull(value, ''), reason
);
CREATE INDEX decisions_by_run on decisions (run_id);
CREATE INDEX decisions_by_person on decisions (entity_id);
CREATE INDEX changes_open on changes (entity_id) where settled = 0 and state in ('started', 'done', 'unknown');
CREATE INDEX changes_by_run on changes (run_id);
CREATE INDEX changes_by_person on changes (entity_id);
CREATE INDEX changes_by_decision on changes (decision_id);
CREATE INDEX conflicts_by_person on conflicts (entity_id);
CREATE INDEX conflicts_by_change on conflicts (change_id);
CREATE INDEX conflicts_open on conflicts (run_id) where seen_at is null and restored_at is null;
CREATE UNIQUE INDEX holds_open on holds (entity_id, kind) where released_at is null;
CREATE INDEX holds_by_run on holds (run_id);
CREATE INDEX persons_by_betnr on persons (betnr, gone_at);
CREATE INDEX persons_by_advo_look on persons (advo_seen_at, entity_id) where betnr is not null and gone_at is null;
CREATE INDEX persons_changed on persons (espo_changed_at, advo_changed_at)
    where espo_changed_at is not null or advo_changed_at is not null;
CREATE INDEX left_alone_held_back on left_alone (entity_id, direction) where reason = 'held_back';
CREATE INDEX runs_unfinished on runs (id) where finished_at is null;
CREATE VIEW "last_runs" AS -- What did the latest runs do?
select
    id,
    trigger,
    direction,
    started_at,
    finished_at,
    strftime('%s', finished_at) - strftime('%s', started_at) as seconds,
    outcome,
    persons_seen,
    persons_changed,
    persons_failed,
    espo_reads,
    espo_writes,
    advo_reads,
    advo_writes,
    error
from runs
order by id desc
limit 100;
CREATE VIEW "failing_persons" AS -- Who cannot be synced, why, and when is the next attempt?
select
    entity_id,
    betnr,
    name,
    status,
    error,
    retry_count,
    coalesce(auto_reset_at, next_retry_at) as next_attempt_at,
    last_sync_at,
    due_since
from persons
where status in ('failed', 'permanently_failed')
order by due_since, entity_id;
CREATE VIEW "open_conflicts" AS -- Which values lost and were neither seen by anybody nor restored?
select
    conflicts.id,
    conflicts.created_at,
    conflicts.run_id,
    conflicts.entity_id,
    conflicts.betnr,
    persons.name,
    conflicts.channel,
    conflicts.komm_id,
    conflicts.variant,
    conflicts.espo_value,
    conflicts.advo_value,
    conflicts.kept,
    conflicts.reason
from conflicts
left join persons on persons.entity_id = conflicts.entity_id
where conflicts.seen_at is null
    and conflicts.restored_at is null
order by conflicts.id;
CREATE VIEW "unsyncable_entries" AS -- Which entries can one of the systems not hold?
select
    left_alone.entity_id,
    left_alone.betnr,
    persons.name,
    left_alone.side,
    left_alone.channel,
    left_alone.komm_id,
    left_alone.value,
    left_alone.detail,
    left_alone.since
from left_alone
left join persons on persons.entity_id = left_alone.entity_id
where left_alone.reason = 'unsyncable'
order by left_alone.since, left_alone.id;
CREATE VIEW "stale_persons" AS -- Which linked persons has nobody looked at in Advoware for more than a day?
select
    entity_id,
    betnr,
    name,
    status,
    advo_seen_at,
    round(julianday('now') - julianday(advo_seen_at), 1) as days_since_look
from persons
where betnr is not null
    and gone_at is null
    and (advo_seen_at is null or advo_seen_at < datetime('now', '-1 day'))
order by advo_seen_at, entity_id;
CREATE VIEW "changes_by_day" AS -- How much was written on which day, on which side, for which reason?
select
    date(finished_at) as day,
    side,
    variant,
    action,
    count(*) as changes,
    count(distinct entity_id) as persons
from changes
where state = 'done'
group by day, side, variant, action
order by day desc, side, variant, action;
CREATE VIEW "differences" AS -- What do the two sides, as last seen, not agree on right now?
with
linked as (
    select
        entity_id,
        betnr,
        name,
        due_since
    from persons
    where betnr is not null
        and gone_at is null
        and espo_seen_at is not null
        and advo_seen_at is not null
),
lonely as (
    select
        linked.*,
        'espo' as stands_in,
        items.channel,
        items.value,
        null as komm_id
    from linked
    join espo_entries as items on items.entity_id = linked.entity_id
    where not exists (
        select 1
        from advo_entries as rows
        where rows.betnr = linked.betnr
            and rows.channel = items.channel
            and rows.canonical = items.canonical
    )
    union all
    select
        linked.*,
        'advo' as stands_in,
        rows.channel,
        rows.value,
        rows.komm_id
    from linked
    join advo_entries as rows on rows.betnr = linked.betnr
    where rows.channel is not null
        and rows.canonical is not null
        and not exists (
            select 1
            from espo_entries as items
            where items.entity_id = linked.entity_id
                and items.channel = rows.channel
                and items.canonical = rows.canonical
        )
)
select
    entity_id,
    betnr,
    name,
    channel,
    value,
    stands_in,
    komm_id,
    (
        select group_concat(distinct left_alone.reason)
        from left_alone
        where left_alone.entity_id = lonely.entity_id
            and left_alone.side = lonely.stands_in
            and left_alone.value = lonely.value
    ) as left_alone,
    due_since
from lonely
order by entity_id, channel, stands_in, value;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',10);
COMMIT;
